#!/bin/sh
# A stage that is a folder, and what `promote` asks of any stage's command.
#
#   stage.sh NAME observe   prints `nothing`, `running DIGEST`, `canary DIGEST REST` where only the canary runs DIGEST and the rest runs
#                           REST (a digest, or `nothing`), or anything else for "unknown"; only the first line counts
#   stage.sh NAME apply     makes the stage run PROMOTE_RELEASE (a digest, or `nothing`)
#   stage.sh NAME sample    prints one JSON object per instance, each on a line of its own: how many requests were good, of how many
#
# exit codes: 0 done; 3 this fence is older than one that was seen here; 4 cannot do that; any other: failed, to be tried again.
# What it says on standard error is told to people.
#
# It is called in the folder of the pipeline file, with these variables:
#
#   PROMOTE_STAGE       always: the stage; where its queue is parallel the lane, such as prod/app, and only this tells lanes apart
#   PROMOTE_DATA        always: the folder of the journal, for what the stage keeps
#   PROMOTE_FENCE       observe, apply: a number; smaller than one that was seen before: refuse (exit code 3)
#   PROMOTE_KEY         apply: which change it is; the same when it is tried again
#   PROMOTE_PROMOTION   apply: for which promotion, such as prod/7
#   PROMOTE_RELEASE     apply: the digest of the release, or `nothing`
#   PROMOTE_ARTIFACTS   apply: what the release consists of: lines of NAME@VERSION, a space and DIGEST; empty for `nothing`
#   PROMOTE_PREVIOUS    apply: the digest of what the stage is believed to run now, outside of its canary, or `nothing`
#   PROMOTE_KIND        apply: `deploy` or `rollback`
#   PROMOTE_REACH       apply: `canary` or `all`
#   PROMOTE_FROM        sample: where the window begins, such as 2026-01-02T03:04:00.000000Z
#   PROMOTE_TO          sample: where it ends, likewise
#
# A sample is {"instance": "a", "arm": "canary", "good": 99, "total": 100}, where `arm` is `canary` for what runs the release and `baseline` for
# what runs the one before. It may also have "latencies": [[1500, 98], [20000, 2]] (pairs of microseconds and how many requests took
# that long), "numbers": {"heap": 1.5e9} (larger is worse), and "at": "2026-01-02T03:04:00Z" (until when it was counted).
#
# The fence is compared and the change is made under one lock, so that a driver that was replaced cannot slip in between. A call that takes
# longer than `calls.timeout_ms` is killed, and what it has started is not: a child that is left over keeps the lock, and every later call waits
# for it. So let children end with the script, or start them without the lock (`9>&-`) where nothing depends on it.
set -eu
folder="$PROMOTE_DATA/stages/$PROMOTE_STAGE"
mkdir -p "$folder"

# Waits for the lock, refuses an older fence, and remembers this one. The lock ends with this process.
fence() {
    exec 9> "$folder/lock"
    flock 9
    seen=$(cat "$folder/fence" 2> /dev/null || echo 0)
    if [ "$PROMOTE_FENCE" -lt "$seen" ]; then
        echo "fence $PROMOTE_FENCE is older than $seen" >&2
        exit 3
    fi
    echo "$PROMOTE_FENCE" > "$folder/fence.new"
    mv "$folder/fence.new" "$folder/fence"
}

# The log is what the stage runs: its last line counts, and writing one is the whole change. Each has a fence, a key, and what runs.
last() { tail -n 1 "$folder/log" 2> /dev/null || true; }

case "$2" in
observe)
    fence
    running=$(last | cut -d ' ' -f 3-)
    echo "${running:-nothing}"
    ;;
apply)
    if [ "$PROMOTE_REACH" != all ]; then
        echo "this stage has no canary" >&2
        exit 4
    fi
    fence
    # The key says which change it is: one that was made is not made again, also when another came after it.
    if cut -d ' ' -f 2 "$folder/log" 2> /dev/null | grep -qxF "$PROMOTE_KEY"; then
        exit 0
    fi
    if [ "$PROMOTE_RELEASE" = nothing ]; then running=nothing; else running="running $PROMOTE_RELEASE"; fi
    echo "$PROMOTE_FENCE $PROMOTE_KEY $running" >> "$folder/log"
    ;;
sample)
    # A file `sick` in the folder makes every tenth request fail.
    if [ -e "$folder/sick" ]; then good=90; else good=100; fi
    echo "{\"instance\": \"$1\", \"arm\": \"canary\", \"good\": $good, \"total\": 100}"
    ;;
*)
    echo "no such call: $2" >&2
    exit 4
    ;;
esac
