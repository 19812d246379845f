#!/bin/sh
# What the tests of the whole program share; a script sets `program` and reads this.
checks=0
failures=0

fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
}

# works ARGUMENTS...: must end with 0; its output stays in out and err.
works() {
    checks=$((checks + 1))
    "$program" "$@" >out 2>err || fail "tstar $*: $(cat err)"
}

# says STATUS TEXT ARGUMENTS...: must end with STATUS and TEXT on stderr.
says() {
    wanted=$1 text=$2
    shift 2
    checks=$((checks + 1))
    "$program" "$@" >out 2>err
    status=$?
    [ $status = "$wanted" ] || fail "tstar $*: exit status $status instead of $wanted: $(cat err)"
    grep -qF -- "$text" err || fail "tstar $*: \"$text\" is not in: $(cat err)"
}

same() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || fail "$1 and $2 differ"
}
