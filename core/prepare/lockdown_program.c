/*
 * lockdown_program.c - what the program of a recipe gives up before it starts.
 *
 * Unlike a plugin it must still open files: its interpreter, libraries. Landlock leaves it reading and
 * running what the run's settings name, and writing to nothing but /dev/null; limits forbid
 * files that grow; seccomp refuses what makes connections, signals, traces, mounts, or leaves the
 * group that is killed with it. On a kernel without landlock (before 5.13) files can be read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/prepare/exec.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define READ_RIGHTS \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE)
#define ALL_RIGHTS                                                                                 \
    (READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                 \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static hone_status allow_path(int rules, const char *path, hone_error *err)
{
    struct stat s;
    const int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) /* not every machine has every folder of the list */
        return HONE_OK;
    struct landlock_path_beneath_attr rule = { .parent_fd = fd, .allowed_access = READ_RIGHTS };
    if (fstat(fd, &s) == 0 && !S_ISDIR(s.st_mode))
        rule.allowed_access =
            FILE_RIGHTS | (S_ISCHR(s.st_mode) ? (uint64_t)LANDLOCK_ACCESS_FS_WRITE_FILE : 0);
    const long failed = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    const int why = errno;
    (void)close(fd);
    return failed ? hone_fail(err, HONE_ERR_IO, "%s: cannot be allowed: %s", path, strerror(why))
                  : HONE_OK;
}

static hone_status limit_files(const char *const *paths, size_t n, hone_error *err)
{
    const struct landlock_ruleset_attr all = { .handled_access_fs = ALL_RIGHTS };
    const int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    hone_status st = HONE_OK;
    if (rules < 0)
        return HONE_OK;
    for (size_t i = 0; i < n && !st; i++)
        st = allow_path(rules, paths[i], err);
    if (!st && syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        st = hone_fail(err, HONE_ERR_IO, "cannot limit its files: %s", strerror(errno));
    (void)close(rules);
    return st;
}

#ifdef ARCHITECTURE
static const int refused[] = {
    SYS_socket,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kill,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_pidfd_send_signal,
    SYS_pidfd_getfd,
    SYS_setsid,
    SYS_setpgid,
    SYS_mount,
    SYS_umount2,
    SYS_move_mount,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_open_by_handle_at,
    SYS_init_module,
    SYS_finit_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_prlimit64, /* limits of others; its own are as hard as they get */
};
#define N_REFUSED (sizeof refused / sizeof refused[0])

static hone_status limit_calls(hone_error *err)
{
    struct sock_filter code[N_REFUSED + 10];
    unsigned short n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    /* The second numbering of calls on x86-64. */
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000,
                                             (uint8_t)(N_REFUSED + 1), 0);
    for (size_t i = 0; i < N_REFUSED; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused[i],
                                                 (uint8_t)(N_REFUSED - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_fprog program = { .len = n, .filter = code };
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 && errno != EINVAL &&
        errno != ENOSYS)
        return hone_fail(err, HONE_ERR_IO, "cannot limit its calls: %s", strerror(errno));
    return HONE_OK;
}
#endif

hone_status lockdown_program(int64_t memory_bytes, const char *const *paths, size_t n,
                             hone_error *err)
{
    const struct {
        int what;
        rlim_t most;
    } limits[] = {
        { RLIMIT_CORE, 0 },
        { RLIMIT_FSIZE, 0 },
        { RLIMIT_AS, memory_bytes > 0 ? (rlim_t)memory_bytes : RLIM_INFINITY },
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const struct rlimit l = { limits[i].most, limits[i].most };
        if (setrlimit((__rlimit_resource_t)limits[i].what, &l) != 0)
            return hone_fail(err, HONE_ERR_IO, "cannot limit it: %s", strerror(errno));
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return hone_fail(err, HONE_ERR_IO, "cannot give up privileges: %s", strerror(errno));
    hone_status st = limit_files(paths, n, err);
#ifdef ARCHITECTURE
    if (!st)
        st = limit_calls(err);
#endif
    return st;
}
