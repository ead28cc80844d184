# What kills a command in the middle leaves the old or the new, and never what is between.

# What of a service is there: its link, its deployments, its unit.
parts() { # NAME
    [ ! -L "$checkouts/$1" ] || echo link
    for each in "$checkouts/$1".[0-9]*; do
        [ ! -e "$each" ] || echo "${each##*/}"
    done
    [ ! -e "$units/$1.service" ] || echo unit
}

# Kills COMMAND… with the ninth signal once a file of berth's own matches PATTERN; says whether it could.
killed_at() { # PATTERN COMMAND…
    pattern=$1
    shift
    "$@" >/dev/null 2>&1 &
    it=$!
    # shellcheck disable=SC2086 # it is a pattern
    while kill -0 $it 2>/dev/null; do
        for file in "$checkouts/.berth/"$pattern; do
            [ ! -e "$file" ] || kill -9 $it 2>/dev/null || :
        done
    done
    found=0
    wait $it || found=$?
    [ $found -eq 137 ] || wrong "it was not killed: status $found"
}

test_install_is_killed_before_it_commits() {
    killed_at 'staging/*' berth install --system --name early --set PORT=8141 "$registry/hello-world:v1"
    berth repair
    same '' "$(parts early)"
    same '' "$(ls -A "$checkouts/.berth/staging" "$checkouts/.berth/journal" 2>/dev/null | grep -v : || :)"
    berth install --system --name early --set PORT=8141 "$registry/hello-world:v1"
    berth start early
    answers 8141 'Hi World'
    berth uninstall early
}

test_install_is_killed_after_it_committed() {
    killed_at 'journal/late*' berth install --system --name late --set PORT=8142 "$registry/hello-world:v1"
    berth repair
    same '' "$(ls -A "$checkouts/.berth/journal")"
    found=$(parts late)
    case $found in
    '') berth install --system --name late --set PORT=8142 "$registry/hello-world:v1" ;;
    "link
late.0
unit") ;;
    *) wrong "between: $found" ;;
    esac
    berth start late
    answers 8142 'Hi World'
    berth uninstall late
    same '' "$(parts late)"
}

test_update_is_killed() {
    berth install --system --name torn --set PORT=8143 "$registry/hello-world:v1"
    berth start torn
    answers 8143 'Hi World'
    killed_at 'journal/torn*' berth update --set RECEIVER=you torn
    berth repair
    # the old, or the new, and it runs
    case $(slot torn) in
    0) answers 8143 'Hi World' ;;
    1) answers 8143 'Hi you' ;;
    *) wrong "$(ls -l "$checkouts")" ;;
    esac
    active torn active
    berth update --set RECEIVER=all torn
    answers 8143 'Hi all'
    killed_at 'journal/torn*' berth uninstall torn
    berth repair
    case $(parts torn) in
    '') ;;
    *) berth uninstall torn ;;
    esac
    same '' "$(parts torn)"
    active torn inactive
    status 7 curl -s --max-time 5 http://127.0.0.1:8143/
}

test_two_at_once() {
    berth install --system --name first --set PORT=8144 "$registry/hello-world:v1" >/dev/null 2>&1 &
    one=$!
    berth install --system --name second --set PORT=8145 "$registry/hello-world:v1" >/dev/null 2>&1 &
    two=$!
    wait $one
    wait $two
    berth start first second
    answers 8144 'Hi World'
    answers 8145 'Hi World'
    berth uninstall first
    berth uninstall second
}
