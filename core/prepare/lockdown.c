/*
 * lockdown.c - what a process that runs readers and recipes gives up.
 *
 * Limits: memory, processor time is left to the run's own clock, no core files, no files
 * written. Landlock (Linux 5.13): no path of the file system can be opened. Seccomp: only the
 * calls that computing, and answering on the socket, need; anything else is refused with
 * EPERM, so that a library that tries is told and does not die.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/prepare/parts.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Bytes that are mapped now: what the run has mapped (a model) is not the child's doing. */
static rlim_t mapped_now(void)
{
    char *p = NULL;
    rlim_t pages = 0;
    if (file_read(&p, NULL, "/proc/self/statm", 1 << 12, NULL) == HONE_OK)
        pages = (rlim_t)strtoull(p, NULL, 10);
    free(p);
    return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static hone_status set_limits(int64_t memory_bytes, hone_error *err)
{
    const struct {
        int what;
        rlim_t most;
    } limits[] = {
        { RLIMIT_CORE, 0 },
        { RLIMIT_FSIZE, 0 },
        { RLIMIT_AS, memory_bytes > 0 ? mapped_now() + (rlim_t)memory_bytes : RLIM_INFINITY },
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const struct rlimit l = { limits[i].most, limits[i].most };
        if (setrlimit((__rlimit_resource_t)limits[i].what, &l) != 0)
            return hone_fail(err, HONE_ERR_IO, "cannot limit a document's process: %s",
                             strerror(errno));
    }
    return HONE_OK;
}

/* No rule is added: every kind of access that the kernel knows is refused everywhere. */
#ifndef SANITIZED
static void set_landlock(void)
{
#ifdef SYS_landlock_create_ruleset
    const struct landlock_ruleset_attr all = {
        .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                             LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                             LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                             LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                             LANDLOCK_ACCESS_FS_MAKE_SYM,
    };
    const int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0)
        return; /* an older kernel; seccomp refuses open() as well */
    (void)syscall(SYS_landlock_restrict_self, rules, 0);
    (void)close(rules);
#endif
}

#ifdef ARCHITECTURE
/* What computing and answering need; memory may not become executable, but that would
 * need a look at arguments and gains nothing here: the plugin is code already. */
static const int allowed[] = {
    SYS_read,
    SYS_write,
    SYS_recvmsg,
    SYS_sendto,
    SYS_close,
    SYS_fstat,
    SYS_lseek,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_brk,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigreturn,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_getpid,
    SYS_gettid,
    SYS_tgkill,
    SYS_sched_yield,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_ppoll, /* a recipe's program: its pipes, its end */
    SYS_wait4,
#ifdef SYS_poll
    SYS_poll,
#endif
#ifdef SYS_newfstatat
    SYS_newfstatat, /* fstat of newer C libraries; paths are refused by landlock */
#endif
};
#define N_ALLOWED (sizeof allowed / sizeof allowed[0])

static hone_status set_seccomp(hone_error *err)
{
    struct sock_filter code[N_ALLOWED + 8];
    unsigned short n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < N_ALLOWED; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i],
                                                 (uint8_t)(N_ALLOWED - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = { .len = n, .filter = code };
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 && errno != EINVAL &&
        errno != ENOSYS)
        return hone_fail(err, HONE_ERR_IO, "cannot lock down a document's process: %s",
                         strerror(errno));
    return HONE_OK;
}
#endif

#endif /* SANITIZED */

hone_status lockdown(int64_t memory_bytes, hone_error *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return hone_fail(err, HONE_ERR_IO, "cannot give up privileges: %s", strerror(errno));
#ifdef SANITIZED
    (void)memory_bytes; /* the sanitizer maps terabytes, and reads /proc when it reports */
    return set_limits(0, err);
#else
    hone_status st = set_limits(memory_bytes, err);
    if (st)
        return st;
    set_landlock();
#ifdef ARCHITECTURE
    st = set_seccomp(err);
#endif
    return st;
#endif
}
