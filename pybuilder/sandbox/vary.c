/* Lets a build see another time of day, and directories in another order, than it would see by itself; and as many
 * processors as it may run on, where it asks how many the machine has.
 *
 * `pybuild check` loads it into every process of a build, before the C library (ld.so(8), LD_PRELOAD). AHEAD, seconds,
 * is given when it is compiled. Files keep their real times, so the clock may only be ahead: what is made now must not
 * come from the future, which make and its like would mend for ever. The monotonic clock stays: waiting is measured
 * by it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += AHEAD;
    return result;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (zone)
        memset(zone, 0, sizeof(struct timezone));
    *result = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

int timespec_get(struct timespec *result, int base) {
    if (base != TIME_UTC)
        return 0;
    clock_gettime(CLOCK_REALTIME, result);
    return base;
}

int get_nprocs(void) {
    cpu_set_t usable;
    return sched_getaffinity(0, sizeof usable, &usable) ? 1 : CPU_COUNT(&usable);
}

int get_nprocs_conf(void) { return get_nprocs(); }

long sysconf(int name) {
    if (name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF)
        return get_nprocs();
    return ((long (*)(int))dlsym(RTLD_NEXT, "sysconf"))(name);
}

/* Directories: each is read whole at the first question, and told from its end; "." and ".." stay in front. */

struct listing {
    DIR *directory;
    struct dirent64 **entries;
    size_t count, next;
    int error;
    struct listing *below;
};

static struct listing *listings;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void take_lock(void) { pthread_mutex_lock(&lock); }
static void drop_lock(void) { pthread_mutex_unlock(&lock); }

__attribute__((constructor)) static void survive_forks(void) { pthread_atfork(take_lock, drop_lock, drop_lock); }

static int is_dots(const struct dirent64 *entry) {
    return !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
}

static void forget(DIR *directory) {
    for (struct listing **place = &listings; *place; place = &(*place)->below) {
        struct listing *found = *place;
        if (found->directory != directory)
            continue;
        *place = found->below;
        for (size_t i = 0; i < found->count; i++)
            free(found->entries[i]);
        free(found->entries);
        free(found);
        return;
    }
}

static int keep(struct listing *listing, const struct dirent64 *entry) {
    struct dirent64 **more = realloc(listing->entries, (listing->count + 1) * sizeof *more);
    struct dirent64 *copy = malloc(entry->d_reclen > sizeof *entry ? entry->d_reclen : sizeof *entry);
    if (more)
        listing->entries = more;
    if (!more || !copy) {
        free(copy);
        return ENOMEM;
    }
    memcpy(copy, entry, entry->d_reclen);
    more[listing->count++] = copy;
    return 0;
}

static void turn(struct listing *listing) {
    size_t front = 0, back;
    struct dirent64 **entries = listing->entries, *entry;
    for (size_t i = 0; i < listing->count; i++)
        if (is_dots(entries[i])) {
            entry = entries[i];
            memmove(entries + front + 1, entries + front, (i - front) * sizeof *entries);
            entries[front++] = entry;
        }
    for (back = listing->count; front + 1 < back; front++) {
        entry = entries[front];
        entries[front] = entries[--back];
        entries[back] = entry;
    }
}

static struct listing *listing_of(DIR *directory) {
    for (struct listing *found = listings; found; found = found->below)
        if (found->directory == directory)
            return found;
    struct listing *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    struct dirent64 *(*real)(DIR *) = (struct dirent64 * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
    struct dirent64 *entry;
    made->directory = directory;
    for (errno = 0; !made->error && (entry = real(directory)); errno = 0)
        made->error = keep(made, entry);
    made->error = made->error ? made->error : errno;
    turn(made);
    made->below = listings;
    return listings = made;
}

struct dirent64 *readdir64(DIR *directory) {
    int before = errno;
    take_lock();
    struct listing *listing = listing_of(directory);
    struct dirent64 *entry = NULL;
    if (listing && listing->next < listing->count)
        entry = listing->entries[listing->next++];
    int error = !listing ? ENOMEM : entry ? 0 : listing->error;
    drop_lock();
    errno = error ? error : before;
    return entry;
}

/* The same on machines of 64 bits, the only ones that pybuild knows. */
_Static_assert(sizeof(struct dirent) == sizeof(struct dirent64), "struct dirent is another");
struct dirent *readdir(DIR *directory) { return (struct dirent *)readdir64(directory); }

int closedir(DIR *directory) {
    take_lock();
    forget(directory);
    drop_lock();
    return ((int (*)(DIR *))dlsym(RTLD_NEXT, "closedir"))(directory);
}

void rewinddir(DIR *directory) {
    take_lock();
    forget(directory);
    drop_lock();
    ((void (*)(DIR *))dlsym(RTLD_NEXT, "rewinddir"))(directory);
}

long telldir(DIR *directory) {
    take_lock();
    struct listing *listing = listing_of(directory);
    long place = listing ? (long)listing->next : 0;
    drop_lock();
    return place;
}

void seekdir(DIR *directory, long place) {
    take_lock();
    struct listing *listing = listing_of(directory);
    if (listing && place >= 0 && (size_t)place <= listing->count)
        listing->next = (size_t)place;
    drop_lock();
}
