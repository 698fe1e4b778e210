#!/bin/sh
# A stage that is a folder, and what `promote` asks of any stage's command.
#
#   stage.sh NAME observe   prints `nothing`, `running DIGEST`, or anything else for "unknown"
#   stage.sh NAME apply     makes the stage run PROMOTE_RELEASE (a digest, or `nothing`)
#   stage.sh NAME sample    prints one JSON object per instance: how many requests were good, of how many
#
# exit codes: 0 done; 3 this fence is older than one that was seen here; 4 cannot do that; any other: failed, to be tried again.
#
# The fence is compared and the change is made under one lock, so that a driver that was replaced cannot slip in between.
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
