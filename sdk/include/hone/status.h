/*
 * hone/status.h - result codes, the error record, and the few macros that
 * every other SDK header stands on.
 *
 * The SDK is header-only, C11, usable from C++. A plugin links against nothing.
 *
 * Rules of the whole ABI, said once:
 *  - Only fixed-width integers, float, double and pointers cross. No enums as
 *    members, no bit-fields, no long, no varargs.
 *  - Growable structs start with struct_size and grow only at their end. Ask
 *    HONE_HAS() before touching anything newer than what you were built with.
 *    Structs marked FROZEN live in arrays, have no struct_size and never grow.
 *  - Whoever allocates frees. What is passed in is borrowed for the call.
 *  - No exception and no longjmp crosses. No thread outlives shutdown().
 *
 * Thread tags used by every call:
 *  [main]    the thread that runs the command; never concurrently
 *  [worker]  one thread at a time per instance
 *  [queue]   one thread at a time per queue
 *  [any]     any thread, concurrently
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HONE_STATUS_H
#define HONE_STATUS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HONE_ABI_MAJOR 0 /* layout break: other plugins are refused            */
#define HONE_ABI_MINOR 1 /* something was appended; exact match while major 0 */

#ifdef __cplusplus
#define HONE_EXTERN_C extern "C"
#define HONE_BEGIN extern "C" {
#define HONE_END }
#define HONE_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define HONE_EXTERN_C
#define HONE_BEGIN
#define HONE_END
#define HONE_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#define HONE_EXPORT HONE_EXTERN_C __attribute__((visibility("default")))
#define HONE_MUST_CHECK __attribute__((warn_unused_result))
#define HONE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Does the struct that the *other side* filled in reach this member? */
#define HONE_HAS(p, member) \
    ((p)->struct_size >= offsetof(__typeof__(*(p)), member) + sizeof((p)->member))

/* The same for a function pointer: present, and not left NULL. */
#define HONE_HAS_CALL(p, member) (HONE_HAS(p, member) && (p)->member)

HONE_BEGIN

/* 0 is success; everything else is negative and comes with a message. */
typedef int32_t hone_status;

#define HONE_OK 0
#define HONE_ERR_ARG (-1)    /* a value the caller chose is wrong                */
#define HONE_ERR_NOMEM (-2)  /* host memory; try a smaller setting               */
#define HONE_ERR_IO (-3)     /* the operating system said no                     */
#define HONE_ERR_FORMAT (-4) /* bytes from outside are not what they claim       */
#define HONE_ERR_UNSUPPORTED \
    (-5)                        /* well-formed, but not offered here; device ops:
                                     "compose me from the seven"                      */
#define HONE_ERR_NOTFOUND (-6)  /* nothing of that name                             */
#define HONE_ERR_LIMIT (-7)     /* a stated limit was exceeded                      */
#define HONE_ERR_STATE (-8)     /* not now: locked, interrupted half-way, mismatch  */
#define HONE_ERR_CANCELLED (-9) /* the user asked to stop                           */
#define HONE_ERR_SKIP (-10)     /* drop this document, count it, go on              */
#define HONE_ERR_DEVICE (-11)   /* the device failed; its state is gone             */
#define HONE_ERR_ABI (-12)      /* built for another plugin ABI                     */
#define HONE_ERR_NUMERIC (-13)  /* NaN or infinity where a number was needed        */
#define HONE_ERR_DEVMEM (-14)   /* device memory; the device stays usable           */

/* The caller owns the record and passes it last. A function that fails fills
 * it once, where the failure is seen; callers hand it on untouched.
 * message: one line, no newline, lower case, names the thing, the value and
 * what was expected. "" while code is HONE_OK. err may be NULL: no text wanted. */
typedef struct hone_error { /* FROZEN */
    hone_status code;
    char message[508];
} hone_error;

HONE_STATIC_ASSERT(sizeof(hone_error) == 512, "frozen");

/* UTF-8 or bytes, not NUL-terminated, borrowed for the call. FROZEN. */
typedef struct hone_str {
    const char *p;
    uint64_t n; /* bytes */
} hone_str;

static inline hone_str hone_s(const char *text)
{
    hone_str s;
    s.p = text;
    s.n = text ? strlen(text) : 0;
    return s;
}

/* Keep the promise of one line: control characters become blanks, and a character that the
 * end of the buffer cut in two is dropped. Called by the two below. */
static inline void hone_one_line(hone_error *err)
{
    unsigned char *m = (unsigned char *)err->message;
    size_t n = 0, k;
    for (; m[n]; n++)
        if (m[n] < 0x20 || m[n] == 0x7f)
            m[n] = ' ';
    if (n + 1 < sizeof err->message)
        return;
    for (k = n; k > 0 && n - k < 3 && (m[k - 1] & 0xc0) == 0x80; k--)
        continue;
    if (k > 0 && m[k - 1] >= 0xc0 &&
        n - k < (size_t)(m[k - 1] < 0xe0   ? 1
                         : m[k - 1] < 0xf0 ? 2
                                           : 3))
        m[k - 1] = '\0';
}

/* Record code and message, return code:  return hone_fail(err, HONE_ERR_ARG, "...", ...); [any] */
HONE_PRINTF(3, 4)
static inline hone_status hone_fail(hone_error *err, hone_status code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        hone_one_line(err);
    }
    return code;
}

/* Put "what: " in front of a message that came from below; returns its code. [any] */
HONE_PRINTF(2, 3)
static inline hone_status hone_prefix(hone_error *err, const char *format, ...)
{
    char old[sizeof err->message];
    va_list args;
    size_t at, k;
    int n;
    if (!err)
        return HONE_ERR_STATE;
    memcpy(old, err->message, sizeof old);
    va_start(args, format);
    n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 2 < sizeof err->message) {
        at = (size_t)n;
        err->message[at++] = ':';
        err->message[at++] = ' ';
        for (k = 0; old[k] && at + 1 < sizeof err->message; k++)
            err->message[at++] = old[k];
        err->message[at] = '\0';
    }
    hone_one_line(err);
    return err->code;
}

HONE_END

#endif /* HONE_STATUS_H */
