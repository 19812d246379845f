#!/bin/sh
# Installs to a folder of its own and uses that from outside: test_install.sh BUILD SOURCE [CARD], the folder of a
# CUDA module that runs without a card.  Needs CMAKE and CC; CXX and PYTHON may be empty.
set -u
build=$1 source=$2 card=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
. "$source/tests/support/program.sh"
prefix=$work/prefix

# must NAME COMMAND...: has to succeed.
must() {
    name=$1
    shift
    checks=$((checks + 1))
    "$@" >log 2>&1 || fail "$name: $(tail -n 5 log)"
}

must install "$CMAKE" --install "$build" --prefix "$prefix"
libraries=$(dirname "$(find "$prefix" -name libtstar.so)")
pages=$(dirname "$(find "$prefix" -name tstar.1)")
must program "$prefix/bin/tstar" --version
version=$(cut -d' ' -f2 log)
for command in $("$prefix/bin/tstar" --help | sed -n 's/^  \([a-z]\{3,\}\) .*/\1/p'); do
    [ -s "$pages/tstar-$command.1" ] || fail "no page tstar-$command.1"
done
[ "$(find "$pages" -name 'tstar-*.1' | wc -l)" -ge 8 ] || fail "pages are missing: $(ls "$pages")"
[ -s "$prefix/share/bash-completion/completions/tstar" ] || fail "no completion for bash"
[ -s "$prefix/share/zsh/site-functions/_tstar" ] || fail "no completion for zsh"
[ -s "$libraries/libtstar.a" ] || fail "no static library"
grep -rlF "$build" "$prefix/include" "$libraries/pkgconfig" "$libraries/cmake" && fail "these name the build's folder"

# ---- the shared library: a name with its version, the public functions and what the CUDA module takes ----
if command -v objdump >/dev/null; then
    checks=$((checks + 1))
    objdump -p "$libraries/libtstar.so" | grep -q "SONAME *libtstar.so.${version%.*}\$" || fail "SONAME"
fi
if command -v nm >/dev/null; then
    checks=$((checks + 1))
    nm -D --defined-only "$libraries/libtstar.so" | awk '{ print $3 }' | sort >shown
    grep -vE '^(tstar_[a-z]+|ts_error|ts_context|ts_status_(code|message|free))$' shown && fail "these are shown, too"
    sed -n 's/^[a-z].*[ *]\(tstar_[a-z]*\)(.*/\1/p' "$source/include/tstar/tstar.h" | sort >declared
    [ "$(wc -l <declared)" -ge 8 ] || fail "the functions of tstar.h are not found"
    grep '^tstar_' shown | cmp -s - declared || fail "not all of tstar.h is there: $(cat shown)"
fi

# ---- another project, in C and in C++ ----
cat >user.c <<'END'
#include <stdio.h>
#include <string.h>
#include <tstar/tstar.h>
int main(void)
{
    tstar_model *model;
    char *error = 0;
    const int status = tstar_open("no/such", 0, 0, 0, &model, &error);
    return !(status == 2 && error && strstr(error, "no/such") && !strcmp(tstar_version(), VERSION));
}
END
cp user.c user.cpp
PKG_CONFIG_PATH=$libraries/pkgconfig
export PKG_CONFIG_PATH
must pkg-config pkg-config --exists tstar
[ "$(pkg-config --modversion tstar)" = "$version" ] || fail "pkg-config: $(pkg-config --modversion tstar)"
for language in c cpp; do
    compiler=$CC
    [ $language = c ] || compiler=$CXX
    [ -n "$compiler" ] || continue
    # shellcheck disable=SC2046
    must "$language, shared" $compiler "-DVERSION=\"$version\"" user.$language -o user $(pkg-config --cflags --libs tstar)
    must "$language, shared, runs" env LD_LIBRARY_PATH="$libraries" ./user
    [ ! -s log ] || fail "the library prints: $(cat log)"
    rm -f user
done
# the static library alone: a prefix without the shared one
cp -r "$prefix" alone
alone=$work/alone${libraries#"$prefix"}
rm -f "$alone"/libtstar.so*
# shellcheck disable=SC2046
PKG_CONFIG_PATH=$alone/pkgconfig must "c, static" $CC "-DVERSION=\"$version\"" user.c -o user \
    $(PKG_CONFIG_PATH=$alone/pkgconfig pkg-config --static --cflags --libs tstar)
must "c, static, runs" ./user

languages=C
[ -z "$CXX" ] || languages="C CXX"
mkdir project
cat >project/CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.22)
project(user LANGUAGES $languages)
find_package(tstar ${version%.*} REQUIRED)
add_executable(shared ../user.c)
target_link_libraries(shared tstar::tstar)
add_executable(static ../user.c)
target_link_libraries(static tstar::tstar_static)
$([ -z "$CXX" ] || echo 'add_executable(shared_cpp ../user.cpp)
target_link_libraries(shared_cpp tstar::tstar)')
add_compile_definitions(VERSION="$version")
END
must find_package "$CMAKE" -S project -B project/build -DCMAKE_PREFIX_PATH="$prefix"
must "find_package, build" "$CMAKE" --build project/build
for program in shared static ${CXX:+shared_cpp}; do
    must "find_package, $program" "project/build/$program"
done

# ---- Python, which loads the library for itself alone ----
cat >user.py <<'END'
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
library.tstar_version.restype = ctypes.c_char_p
assert library.tstar_version().decode() == sys.argv[2]


class Options(ctypes.Structure):
    _fields_ = [("device", ctypes.c_char_p), ("threads", ctypes.c_int), ("progress", ctypes.c_void_p),
                ("context", ctypes.c_void_p)]


def open_model(path, device, keys):
    model, error = ctypes.c_void_p(), ctypes.c_char_p()
    options = Options(device=device.encode(), threads=1)
    overrides = (ctypes.c_char_p * len(keys))(*[key.encode() for key in keys])
    status = library.tstar_open(path.encode(), overrides, len(keys), ctypes.byref(options), ctypes.byref(model),
                                ctypes.byref(error))
    return status, model, (error.value or b"").decode()


status, model, error = open_model("no/such", "cpu", [])
assert status == 2 and not model and "no/such" in error, (status, error)
status, model, error = open_model(sys.argv[3], sys.argv[4], ["model.kind=exact"])
assert status == 0 and model, error
library.tstar_close(model)
status, model, error = open_model(sys.argv[3], sys.argv[4], ["model.kind=nothing"])
assert status == 2 and "model.kind" in error, (status, error)
if sys.argv[4] == "cuda":  # the module makes this error itself
    status, model, error = open_model(sys.argv[3], "cuda:99", ["model.kind=exact"])
    assert status == 2 and "cuda:99" in error, (status, error)
END
if [ -n "${PYTHON:-}" ]; then
    must python "$PYTHON" user.py "$libraries/libtstar.so" "$version" "$source/configs/mixture1d.yaml" cpu
    [ ! -s log ] || fail "the library prints: $(cat log)"
    if [ -n "$card" ]; then
        must "python, card" env LD_LIBRARY_PATH="$card" "$PYTHON" user.py "$libraries/libtstar.so" "$version" \
            "$source/configs/mixture1d.yaml" cuda
        # beside the library, where an installed module is
        cp "$card/libtstar_cuda.so" "$libraries"
        must "python, installed card" "$PYTHON" user.py "$libraries/libtstar.so" "$version" \
            "$source/configs/mixture1d.yaml" cuda
        must "program, installed card" "$prefix/bin/tstar" info
        grep -q '^cuda  *Fake card' log || fail "the program does not find the installed module: $(cat log)"
    fi
fi

echo "$checks checks, $failures failed"
[ $failures = 0 ]
