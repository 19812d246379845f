#!/bin/sh
# Checks that what README.md and CONTRIBUTING.md name exists: tools/check_readme.sh TSTAR, the built program.
# Looks at the command lines in their sh blocks (programs, tstar's subcommands and options, files named, keys set)
# and at files of the tree between backquotes.
set -eu
program=${1:?"usage: tools/check_readme.sh TSTAR"}
case $program in
/*) ;;
*) program=$(pwd)/$program ;;
esac
cd -- "$(dirname -- "$0")/.."

failed=no
fail() {
    echo "README.md, CONTRIBUTING.md: $*" >&2
    failed=yes
}

keys=$("$program" info --keys | cut -d' ' -f1)
commands=$(awk '/^```sh$/ { inside = 1; next } /^```/ { inside = 0 } inside && NF' README.md CONTRIBUTING.md |
    sed -e ':join' -e '/\\$/{N; s/\\\n *//; b join' -e '}' -e 's/ #.*$//' -e '/^ *#/d')
[ -n "$commands" ] || fail "no commands found"

check_word() {
    case $1 in
    -*) [ -z "$help" ] || echo "$help" | grep -q -e "$1\\b" || fail "'$line': $sub has no $1" ;;
    configs/*.yaml | tools/* | bench/* | .ci/*) [ -e "$1" ] || fail "'$line': there is no $1" ;;
    *.*=*) echo "$keys" | grep -qxF -e "${1%%=*}" || fail "'$line': there is no key ${1%%=*}" ;;
    esac
}

checked=0
while IFS= read -r line; do
    set -f
    # shellcheck disable=SC2086
    set -- $line
    set +f
    help=""
    sub=""
    case $1 in
    build/tstar | tstar)
        sub="tstar $2"
        help=$("$program" "$2" --help 2>/dev/null) || fail "'$line': there is no $sub"
        ;;
    tools/* | bench/* | .ci/*) [ -x "$1" ] || fail "'$line': $1 is not a program" ;;
    esac
    for word in "$@"; do
        check_word "$word"
    done
    checked=$((checked + 1))
done <<END
$commands
END

# NAME and SECTION stand for what a reader chooses.
files=$(grep -ohE '`(src|include|tests|tools|configs|bench|cmake)/[A-Za-z0-9_./-]+`' README.md CONTRIBUTING.md | tr -d '`' |
    grep -vE 'NAME|SECTION' | sort -u)
for file in $files; do
    [ -e "$file" ] || fail "there is no $file"
done

echo "$checked commands and $(echo "$files" | wc -l) files of README.md and CONTRIBUTING.md checked"
[ $failed = no ]
