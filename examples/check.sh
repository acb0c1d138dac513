#!/usr/bin/env bash
# Runs every example through the matex program and compares its results with examples/expected/, which were computed
# apart from matex: longley.csv and those of misra1a, mgh10 and thurber have what NIST certifies, logistic.csv and
# those of nbody what is published, metropolis has integrals on a grid, mlp.y comes from arithmetic in f64, the others
# from arithmetic with 40 digits, with fractions or with whole numbers. The comparison is a matex program too, so that nothing else has to be installed.
#
#   examples/check.sh [PATH OF THE matex PROGRAM]         target/release/matex unless given
set -euo pipefail
cd "$(dirname "$0")/.."
matex="${1:-${CARGO_TARGET_DIR:-target}/release/matex}"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
failed=0

# compare WHAT GOT WANT: the largest relative difference has to be below $tolerance, or 1e-8.
compare() {
    local verdict
    verdict="$("$matex" eval 'max(abs(got - want) / (abs(want) + 1e-300)) < within' \
        "got=$2" "want=$3" "within=${tolerance:-1e-8}")" || verdict="error"
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
check kalman "x P" 'x=[0, 1]' 'P=[[1, 0], [0, 1]]' 'F=[[1, 1], [0, 1]]' 'Q=[[0.25, 0.5], [0.5, 1]]' \
    'H=[[1, 0]]' 'R=[[4]]' 'z=[2]'
check markov p 'T=[[0.9, 0.1, 0], [0.3, 0.5, 0.2], [0, 0.4, 0.6]]'
check matmul "total corner"
tolerance=1e-3 check mlp y
check mlp best

# Fits to what is certified, from both starts that are published; six digits are asked for.
fit() { tolerance=1e-6 check "$1" "b loss" "x=examples/data/$1.csv:x" "y=examples/data/$1.csv:y" "start=$2"; }
fit misra1a '[500, 0.0001]'
fit misra1a '[250, 0.0005]'
fit mgh10 '[2, 400000, 25000]'
fit mgh10 '[0.02, 4000, 250]'
fit thurber '[1000, 1000, 400, 40, 0.7, 0.3, 0.03]'
fit thurber '[1300, 1500, 500, 75, 1, 0.4, 0.05]'

tolerance=2e-4 check logistic w data=examples/data/challenger.csv
check nbody "before after" start=examples/data/planets.csv
tolerance=0.02 check metropolis "centre spread" data=examples/data/challenger.csv

printf '100000\n' >"$out/hits.csv"
if "$matex" run examples/learned_index.mx n=100000 q=100000 leaves=4096 -o "$out/index.npz"; then
    compare "learned_index hits" "$out/index.npz:hits" "$out/hits.csv"
else
    failed=1
fi

if "$matex" run examples/digits.mx data=examples/data/digits.csv -o "$out/digits.npz" &&
    [ "$("$matex" eval 'accuracy >= 0.95' "accuracy=$out/digits.npz:accuracy")" = true ]; then
    echo "ok      digits accuracy"
else
    echo "WRONG   digits accuracy"
    failed=1
fi

if [ "$failed" = 0 ]; then echo "all examples agree"; fi
exit "$failed"
