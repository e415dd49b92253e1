/*
 * A load for corosync's closed process groups, on one node of three.
 *
 * It joins a group, says "joined" on standard error once the group has all its
 * members, and then obeys lines on standard input:
 *
 *     NUMBER BYTES OUTSTANDING RATE FROM UNTIL
 *
 * Between FROM and UNTIL (monotonic clock, nanoseconds; all nodes are on one
 * machine and share it) it counts what is delivered, in agreed order, whoever
 * sent it. It sends from the moment it reads the line, so that the ring has
 * found its pace by FROM. Without RATE it keeps OUTSTANDING messages of BYTES
 * under way (closed loop). With RATE it sends so many a second, the first due
 * when it reads the line (open loop), and what is due waits while OUTSTANDING
 * are under way. Without OUTSTANDING it only listens.
 *
 * After UNTIL it waits for its own messages that are still under way and then
 * answers on standard output:
 *
 *     values COUNT             delivered here between FROM and UNTIL
 *     processor SECONDS        used by this process meanwhile
 *     latency LOW COUNT        own messages delivered meanwhile that took about
 *                              LOW nanoseconds; any number of lines
 *     end
 *
 * NUMBER marks the messages of one line, so that none is counted with another.
 * A latency is the time from sending to the own delivery; in an open loop, from
 * the moment at which the message was due.
 *
 * The library's functions are declared here, by its documented interface, so
 * that its run-time half suffices, which comes with corosync.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* ---- the interface of libcpg.so.4 ---------------------------------------- */

typedef uint64_t cpg_handle_t;
struct cpg_name { uint32_t length; char value[128]; };
struct cpg_address { uint32_t node, pid, reason; };

typedef void (*cpg_deliver_fn)(cpg_handle_t, const struct cpg_name *, uint32_t node,
                               uint32_t pid, void *message, size_t length);
typedef void (*cpg_change_fn)(cpg_handle_t, const struct cpg_name *,
                              const struct cpg_address *members, size_t member_count,
                              const struct cpg_address *left, size_t left_count,
                              const struct cpg_address *joined, size_t joined_count);
struct cpg_callbacks { cpg_deliver_fn deliver; cpg_change_fn change; };

int cpg_initialize(cpg_handle_t *, struct cpg_callbacks *);
int cpg_join(cpg_handle_t, const struct cpg_name *);
int cpg_fd_get(cpg_handle_t, int *);
int cpg_dispatch(cpg_handle_t, int how);
int cpg_mcast_joined(cpg_handle_t, int guarantee, const struct iovec *, unsigned count);

enum { OK = 1, TRY_AGAIN = 6 };  /* what the functions return */
enum { DISPATCH_ALL = 2 };       /* all that is there, without waiting */
enum { AGREED = 2 };             /* total order */

/* ---- the state ------------------------------------------------------------ */

/* The histogram: latencies rounded down to their first SIGNIFICANT bits. */
enum { SIGNIFICANT = 10, BUCKETS = (64 - SIGNIFICANT + 1) << SIGNIFICANT };

/* No message of a load is larger; the library's own limit is about as large. */
enum { MOST_BYTES = 1000 * 1000 };

static cpg_handle_t handle;
static size_t expected_members, members;
static uint32_t own_node;         /* our address in the group, */
static uint32_t own_pid;          /* by which our messages are known */

static struct {
    unsigned char number;         /* 0: none */
    size_t bytes;
    uint64_t outstanding;         /* the most under way */
    double gap;                   /* open loop, if not 0: nanoseconds from due to due */
    uint64_t begin, from, until;
} load;

static uint64_t sent, returned;   /* own messages of this load */
static uint64_t values;           /* delivered in the window */
static uint64_t *sent_at;         /* of message n, at n % load.outstanding */
static uint32_t buckets[BUCKETS];
static unsigned char message[MOST_BYTES];

/* ---- small tools ---------------------------------------------------------- */

static void fail(const char *what, int code)
{
    fprintf(stderr, "cpg: %s: error %d\n", what, code);
    exit(1);
}

static uint64_t monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double processor(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
         + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Which bucket a latency belongs to: its magnitude, and its first bits. */
static size_t bucket(uint64_t latency)
{
    unsigned shift = 0;
    while ((latency >> shift) >> (SIGNIFICANT + 1)) shift++;
    return ((size_t)shift << SIGNIFICANT) + (size_t)(latency >> shift);
}

/* The smallest latency of a bucket. */
static uint64_t bucket_low(size_t index)
{
    size_t first = (size_t)1 << (SIGNIFICANT + 1);
    if (index < first) return index;
    unsigned shift = (unsigned)(index >> SIGNIFICANT) - 1;
    return (uint64_t)(index - ((size_t)shift << SIGNIFICANT)) << shift;
}

/* ---- what the library calls ----------------------------------------------- */

static void deliver(cpg_handle_t h, const struct cpg_name *group, uint32_t node,
                    uint32_t pid, void *bytes, size_t length)
{
    (void)h; (void)group;
    if (length == 0 || load.number == 0 || *(unsigned char *)bytes != load.number) return;
    uint64_t now = monotonic();
    int watched = now >= load.from && now < load.until;
    values += (uint64_t)watched;
    if (node != own_node || pid != own_pid) return;
    /* Our messages come back in the order in which we sent them. */
    uint64_t since = load.gap > 0
        ? load.begin + (uint64_t)((double)returned * load.gap)
        : sent_at[returned % load.outstanding];
    returned++;
    if (watched) buckets[bucket(now > since ? now - since : 0)]++;
}

static void change(cpg_handle_t h, const struct cpg_name *group,
                   const struct cpg_address *list, size_t count,
                   const struct cpg_address *left, size_t left_count,
                   const struct cpg_address *joined, size_t joined_count)
{
    (void)h; (void)group; (void)list; (void)left; (void)left_count;
    for (size_t i = 0; i < joined_count; i++)
        if (joined[i].pid == own_pid && own_node == 0) own_node = joined[i].node;
    if (members == expected_members && count < members)
        fprintf(stderr, "cpg: the group shrank to %zu members\n", count);
    int complete = members < expected_members && count >= expected_members;
    members = count;
    if (complete) fprintf(stderr, "joined\n");
}

/* ---- a load ---------------------------------------------------------------- */

/* Sends one message; says whether the ring took it. */
static int send_one(void)
{
    struct iovec part = { message, load.bytes };
    int code = cpg_mcast_joined(handle, AGREED, &part, 1);
    if (code == TRY_AGAIN) return 0;
    if (code != OK) fail("cannot send", code);
    sent++;
    return 1;
}

/* Sends what may be sent now. Returns when to send next, or 0 if only a
 * delivery makes room. */
static uint64_t send_due(uint64_t now)
{
    /* A few at a time: the deliveries must not wait behind a backlog. */
    for (int burst = 0; sent - returned < load.outstanding; burst++) {
        if (load.gap > 0) {
            uint64_t due = load.begin + (uint64_t)((double)sent * load.gap);
            if (due > now) return due;
        }
        if (burst == 64) return now;
        sent_at[sent % load.outstanding] = now;
        if (!send_one()) return now + 1000000;
        now = monotonic();
    }
    return 0;
}

/* Waits for a delivery, or until a moment; for ever if it is 0. */
static void await(int fd, uint64_t moment)
{
    struct pollfd wait = { fd, POLLIN, 0 };
    struct timespec left = { 0, 0 };
    if (moment) {
        uint64_t now = monotonic();
        uint64_t ns = moment > now ? moment - now : 0;
        left.tv_sec = (time_t)(ns / 1000000000u);
        left.tv_nsec = (long)(ns % 1000000000u);
    }
    if (ppoll(&wait, 1, moment ? &left : NULL, NULL) < 0 && errno != EINTR)
        fail("cannot wait", errno);
}

static void dispatch(void)
{
    int code = cpg_dispatch(handle, DISPATCH_ALL);
    if (code != OK && code != TRY_AGAIN) fail("the daemon is gone", code);
}

static void carry(int fd)
{
    int sender = load.outstanding > 0;
    /* Nobody waits for ever for a message that was lost with the ring. */
    uint64_t give_up = load.until + 20000000000u;
    int watching = 0;
    double used = 0, used_before = 0;
    sent = returned = values = 0;
    memset(buckets, 0, sizeof buckets);
    memset(message, 'x', load.bytes);
    message[0] = load.number;
    load.begin = monotonic();

    for (;;) {
        uint64_t now = monotonic();
        if (!watching && now >= load.from) { watching = 1; used_before = processor(); }
        if (now >= load.until) break;
        uint64_t next = watching ? load.until : load.from;
        if (sender) {
            uint64_t due = send_due(now);
            if (due && due < next) next = due;
        }
        await(fd, next);
        dispatch();
    }
    used = processor() - used_before;
    while (returned < sent) {
        if (monotonic() > give_up) fail("own messages were not delivered", 0);
        await(fd, give_up);
        dispatch();
    }

    printf("values %llu\nprocessor %.6f\n", (unsigned long long)values, used);
    for (size_t i = 0; i < BUCKETS; i++)
        if (buckets[i])
            printf("latency %llu %u\n", (unsigned long long)bucket_low(i), buckets[i]);
    printf("end\n");
    fflush(stdout);
    load.number = 0;
}

/* Reads the line of a load; leaves when there is none any more. */
static void read_load(void)
{
    static char line[256];
    unsigned number;
    unsigned long long bytes, outstanding, from, until;
    double rate;
    if (!fgets(line, sizeof line, stdin)) exit(0);
    if (sscanf(line, "%u %llu %llu %lf %llu %llu", &number, &bytes, &outstanding, &rate,
               &from, &until) != 6
        || number == 0 || number > 255 || bytes == 0 || bytes > MOST_BYTES
        || outstanding > 1000000 || until < from)
        fail("a line that makes no sense", 0);
    load.bytes = bytes;
    load.outstanding = outstanding;
    load.gap = rate > 0 ? 1e9 / rate : 0;
    load.from = from;
    load.until = until;
    load.number = (unsigned char)number;
    if (outstanding) {
        free(sent_at);
        sent_at = calloc(outstanding, sizeof *sent_at);
        if (!sent_at) fail("no memory", errno);
    }
}

int main(int argc, char **argv)
{
    struct cpg_callbacks callbacks = { deliver, change };
    struct cpg_name group = { 5, "bench" };
    int fd, code;

    if (argc != 2) { fprintf(stderr, "usage: cpg MEMBERS\n"); return 2; }
    expected_members = (size_t)atol(argv[1]);
    own_pid = (uint32_t)getpid();
    /* The daemon may still be opening its doors. */
    for (int attempt = 0; (code = cpg_initialize(&handle, &callbacks)) != OK; attempt++) {
        if (attempt == 1000) fail("the daemon does not answer", code);
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    for (int attempt = 0; (code = cpg_join(handle, &group)) != OK; attempt++) {
        if (code != TRY_AGAIN || attempt == 1000) fail("cannot join", code);
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    if ((code = cpg_fd_get(handle, &fd)) != OK) fail("no descriptor", code);

    /* Idle: it sleeps until a line comes, and lets the group's news in. */
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        struct pollfd wait[2] = { { 0, POLLIN, 0 }, { fd, POLLIN, 0 } };
        if (poll(wait, 2, -1) < 0 && errno != EINTR) fail("cannot wait", errno);
        if (wait[1].revents) dispatch();
        if (wait[0].revents) { read_load(); carry(fd); }
    }
}
