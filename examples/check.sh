#!/usr/bin/env bash
# Runs every example through the matex program and compares its results with examples/expected/, which were computed
# apart from matex: longley.csv has the coefficients that NIST certifies, the others come from arithmetic with 40 digits
# or with fractions. The comparison is a matex program too, so that nothing else has to be installed.
#
#   examples/check.sh [PATH OF THE matex PROGRAM]         target/release/matex unless given
set -euo pipefail
cd "$(dirname "$0")/.."
matex="${1:-${CARGO_TARGET_DIR:-target}/release/matex}"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
failed=0

# compare WHAT GOT WANT: the largest relative difference has to be below 1e-8.
compare() {
    local verdict
    verdict="$("$matex" eval 'max(abs(got - want) / (abs(want) + 1e-300)) < 1e-8' "got=$2" "want=$3")" || verdict="error"
    if [ "$verdict" = true ]; then
        echo "ok      $1"
    else
        echo "WRONG   $1"
        failed=1
    fi
}

# check NAME RESULTS VALUES…: runs examples/NAME.mx and compares the results of those names. A single result without a
# name is called out0 and compared with expected/NAME.csv.
check() {
    local name="$1" results="$2" result
    shift 2
    if ! "$matex" run "examples/$name.mx" "$@" -o "$out/$name.npz"; then
        echo "FAILED  $name"
        failed=1
        return
    fi
    for result in $results; do
        local want="examples/expected/$name.$result.csv"
        [ -e "$want" ] || want="examples/expected/$name.csv"
        compare "$name $result" "$out/$name.npz:$result" "$want"
    done
}

check longley out0 \
    X=examples/data/longley.csv:GNPDEFL,GNP,UNEMP,ARMED,POP,YEAR y=examples/data/longley.csv:TOTEMP
check haversine km lat=examples/data/airports.csv:lat lon=examples/data/airports.csv:lon
check softmax out0 'x=[[1, 2, 3, 4], [0, 0, 0, 0], [1000, 1001, 1002, 1003]]'
check black_scholes "call put" S=examples/data/options.csv:S K=examples/data/options.csv:K \
    T=examples/data/options.csv:T sigma=examples/data/options.csv:sigma
check kmeans "C label steps" X=examples/data/points.csv:x,y 'C=[[0, 0], [1, 0], [0, 1]]'
check ridge "coef loss" X=examples/data/longley.csv:GNPDEFL,GNP,UNEMP,ARMED,POP,YEAR \
    y=examples/data/longley.csv:TOTEMP penalty=0.1
check pca "share directions scores" X=examples/data/longley.csv:GNPDEFL,GNP,UNEMP,ARMED,POP,YEAR
check power_iteration "lambda v" 'A=[[4, 1, 0], [1, 3, 1], [0, 1, 2]]' 'v=[1, 1, 1]' iters=200

if [ "$failed" = 0 ]; then echo "all examples agree"; fi
exit "$failed"
