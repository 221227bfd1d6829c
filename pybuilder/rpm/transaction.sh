#!/bin/sh
# One rpm transaction, whoever runs it: bubblewrap on this machine, or podman in the bootstrap container.
#
# usage: transaction.sh RPM-ARGUMENT...
#
# It expects, and nothing else that it could harm:
#   /work           writable, with empty directories: tree, rpmdb; for a layer also upper, overlay
#   /base           for a layer: the tree below it, read-only
#   /rpms           the store's RPMs, read-only
#   TIME_LIMIT      seconds after which everything is killed
#   EPOCH           the time, in seconds since 1970, that stands for the time of the transaction
#   DIRECTORIES     what must be directories in the finished tree, below it, parents first
#   FILES           what must be plain files in it
# It leaves the root in /work/tree, or in /work/upper what a layer adds; all that is said, in /work/log. Its exit status
# is rpm's own. It needs CAP_SYS_ADMIN to mount, and takes it away from rpm.

set -eu
umask 022
exec >/work/log 2>&1
tree=/work/tree

# The root as it is without what is only there while scriptlets run.
if [ -d /base ]; then
    # Each of these would leave marks in the upper directory that mean nothing once it is no overlay any more.
    options=index=off,metacopy=off,redirect_dir=nofollow,xino=off
    # Inside a user namespace nobody may write trusted attributes.
    read -r _ outside count </proc/self/uid_map
    [ "$outside $count" = "0 4294967295" ] || options=$options,userxattr
    mount -t overlay -o "lowerdir=/base,upperdir=/work/upper,workdir=/work/overlay,$options" overlay "$tree"
fi
for directory in proc dev .pybuild; do
    [ -d "$tree/$directory" ] || mkdir "$tree/$directory"
done
# A second earlier, since the kernel's clock for files may lag behind.
touch -d "@$(($(date +%s) - 1))" /work/started

# rpm alone in namespaces of its own: when the first process in them has ended, so has every other. rpm is slow, and
# its scriptlets' shells are, where very many files may be open.
status=0
TREE=$tree unshare --mount --pid --fork --kill-child /bin/sh -euc '
    # /proc and /dev are laid over the outer ones as well, for a scriptlet that gets out of its changed root: what is
    # the whole machine in them may be writable there, and who waits for rpm is to be seen.
    # _netsharedpath: an RPM that owns /proc would set its mode and owner, which nobody may in a user namespace.
    mount -t proc -o ro,nosuid,nodev,noexec proc /proc
    mount --bind /proc "$TREE/proc"
    mount -t tmpfs -o nosuid,noexec,mode=755,size=64m dev "$TREE/dev"
    for node in null zero full random urandom tty; do
        : >"$TREE/dev/$node"
        mount --bind "/dev/$node" "$TREE/dev/$node"
        # Its mode and owner are those of the whole machine.
        mount -o remount,bind,ro,nosuid,noexec "$TREE/dev/$node"
    done
    mkdir -m 1777 "$TREE/dev/shm"
    ln -s /proc/self/fd "$TREE/dev/fd"
    mount --rbind "$TREE/dev" /dev
    mount --bind /work/rpmdb "$TREE/.pybuild"
    ulimit -c 0
    ulimit -n 1024
    may=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setuid,+setgid,+sys_chroot
    exec env -i PATH=/usr/bin:/usr/sbin:/bin:/sbin LC_ALL=C.UTF-8 "SOURCE_DATE_EPOCH=$EPOCH" \
        timeout -s KILL "$TIME_LIMIT" \
        setpriv --bounding-set "$may" --inh-caps=-all --no-new-privs \
        rpm --root "$TREE" --define "_dbpath /.pybuild" --define "_db_backend sqlite" --define "_netsharedpath /proc" \
        --install --excludedocs --noplugins --nocaps --nosignature --nodigest "$@"
' sh "$@" || status=$?
[ "$status" = 0 ] || exit "$status"

cd "$tree"

# What says only that, when and where something happened.
for directory in run tmp var/cache var/lib/rpm-state var/log var/tmp; do
    if [ -d "$directory" ]; then
        find "$directory/" -mindepth 1 -delete
    fi
done
rm -f etc/.pwd.lock etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid- etc/subgid- var/lib/systemd/random-seed
if [ -s etc/machine-id ]; then
    : >etc/machine-id
fi
find . \( -type b -o -type c -o -type p -o -type s \) -delete
find . -name '*.pyc' -newer /work/started -delete
find . -name __pycache__ -type d -empty -delete

for directory in $DIRECTORIES; do
    [ -d "$directory" ] || mkdir "$directory"
done
chmod 1777 tmp
for file in $FILES; do
    # Nothing can be mounted over a link that leads nowhere.
    if [ -L "$file" ]; then
        rm "$file"
    fi
    [ -e "$file" ] || : >"$file"
done

# Only what has to change is touched: a layer would hold a copy of whatever is.
find . \
    \( \( ! -uid 0 -o ! -gid 0 \) -exec chown -h 0:0 {} + \) , \
    \( ! -type l \( -perm /6000 -o ! -perm -444 -o -type d ! -perm -111 -o -perm /111 ! -perm -111 \) \
        -exec chmod u-s,g-s,a+rX {} + \) , \
    \( -perm -2 ! -type l ! \( -type d -perm -1000 \) -exec chmod o-w {} + \)
find . \
    \( -type d \( -newermt "@$EPOCH" -o ! -newermt "@$((EPOCH - 1))" \) -o -newer /work/started \) \
    -exec touch -h -d "@$EPOCH" {} +
