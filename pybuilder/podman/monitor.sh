#!/bin/sh
# podman's monitor of a container, in the services that pybuild starts: conmon(8), but for one thing. When a container
# has ended conmon starts a podman that removes it, which takes more of the processors than all else about a short
# container. pybuild removes its containers itself, so that podman is started only where pybuild has died.
#
#   monitor.sh ARGUMENTS...             podman starts this; conmon is told to come back here at the container's end
#   monitor.sh --ended LOCK COMMAND...  conmon starts this then
if [ "${1-}" = --ended ]; then
    lock=$2
    shift 2
    # Who has started the container holds the lock as long as they live. flock(1) alone ends with 1 where it is held.
    if [ -e "$lock" ]; then
        flock -n "$lock" true
        [ $? = 1 ] && exit 0
    fi
    exec "$@"
fi

# Where podman itself looks for it, unless conmon_path of containers.conf(5) says otherwise, which is not read here.
for conmon in /usr/libexec/podman/conmon /usr/local/libexec/podman/conmon /usr/local/lib/podman/conmon \
    /usr/bin/conmon /usr/sbin/conmon /usr/local/bin/conmon /usr/local/sbin/conmon; do
    [ -x "$conmon" ] && break
done

lock=
before=
for argument; do
    case $before:$argument in
    -l:k8s-file:/* | --log-path:k8s-file:/*)
        log=${argument#k8s-file:}
        lock=${log%/*}/alive
        ;;
    esac
    before=$argument
done
[ -n "$lock" ] || exec "$conmon" "$@"

for argument; do
    shift
    if [ "$argument" = --exit-command ]; then
        set -- "$@" --exit-command "$0"
        set -- "$@" --exit-command-arg --ended --exit-command-arg "$lock" --exit-command-arg
    else
        set -- "$@" "$argument"
    fi
done
exec "$conmon" "$@"
