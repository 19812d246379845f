#!/bin/sh
# The study from one command: tools/paper.sh toy|digits|mnist|cifar10|celeba --out DIR [--data FOLDER] [-- OPTIONS]
# Sweeps configs/paper/NAME.yaml into DIR/NAME, then writes DIR/paper.html and DIR/paper.tex of all the sweeps in DIR.
# Started again, it continues where it was.
#   --out DIR      where everything goes
#   --data FOLDER  takes the files of mnist, cifar10 and celeba from FOLDER/NAME into data/NAME
#                  (default: ../shared/data where it is, else their public home; celeba has none that asks nothing)
#   --needs        says what the sweep will need, and ends
#   OPTIONS        more of tstar sweep's, such as --device cuda --fast or --set train.steps=100
# TSTAR=PROGRAM in the environment takes that tstar; else build/tstar, which is built where it is missing.
set -eu
started_in=$(pwd)
cd -- "$(dirname -- "$0")/.."

refuse() {
    echo "tools/paper.sh: $*" >&2
    exit 2
}

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit "$1"
}

from_here() {
    case $1 in
    /*) echo "$1" ;;
    *) echo "$started_in/$1" ;;
    esac
}

name="" out="" data="" needs=no
while [ $# -gt 0 ]; do
    case $1 in
    toy | digits | mnist | cifar10 | celeba)
        [ -z "$name" ] || refuse "one study at a time, not $name and $1"
        name=$1
        ;;
    --out | --data)
        [ $# -gt 1 ] && [ -n "$2" ] || refuse "$1 needs a folder"
        if [ "$1" = --out ]; then out=$(from_here "$2"); else data=$(from_here "$2"); fi
        shift
        ;;
    --needs) needs=yes ;;
    -h | --help) usage 0 ;;
    --)
        shift
        break
        ;;
    *) refuse "'$1' is neither a study (toy, digits, mnist, cifar10, celeba) nor an option; --help lists them" ;;
    esac
    shift
done
[ -n "$name" ] || usage 2 >&2
[ -n "$out" ] || [ $needs = yes ] || refuse "$name needs --out DIR"
command -v python3 >/dev/null || refuse "needs python3"

case $name in
mnist | cifar10)
    [ -n "$data" ] || [ ! -d "../shared/data/$name" ] || data=../shared/data
    if [ -n "$data" ]; then
        tools/fetch_data.sh "$name" --from "$data/$name" >&2
    else
        tools/fetch_data.sh "$name" >&2
    fi
    ;;
celeba)
    if [ -n "$data" ]; then
        tools/fetch_data.sh celeba --from "$data/celeba" >&2
    else
        [ -d data/celeba ] ||
            refuse "celeba: there is no data/celeba; tools/fetch_data.sh celeba --from FOLDER takes the pictures of img_align_celeba"
    fi
    ;;
esac

if [ -n "${TSTAR:-}" ]; then
    case $TSTAR in
    */*) program=$(from_here "$TSTAR") ;;
    *) program=$TSTAR ;;
    esac
    command -v "$program" >/dev/null || refuse "TSTAR=$TSTAR: no such program"
else
    program=build/tstar
    [ -x "$program" ] || tools/build.sh build -DTSTAR_TESTS=OFF >&2
fi

config=configs/paper/$name.yaml
case $needs$name in
notoy | nodigits) ;; # minutes
*)
    echo "Measuring what $name will need"
    python3 tools/paper_needs.py "$program" "$config" "$@"
    [ $needs = no ] || exit 0
    ;;
esac
mkdir -p "$out"
"$program" sweep "$config" --out "$out/$name" "$@"
python3 tools/paper.py "$out" configs/paper/published.csv
echo "The paper: $out/paper.html, $out/paper.tex"
