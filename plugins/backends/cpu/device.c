/*
 * device.c - the CPU as a device: memory, queues, the table of ops.
 *
 * An op has finished when its call returns, so events carry nothing and sync()
 * has nothing to wait for. The far device of the tests runs the same files late,
 * on another thread, behind handles that are no pointers; what works there does
 * not rely on that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cores.h"
#include "ew.h"

#define HUGE (UINT64_C(2) << 20)

/* ------------------------------------------------------------------ opening */

static hone_status device_count(const hone_host *host, uint32_t *n, hone_error *err)
{
    (void)host, (void)err;
    *n = 1;
    return HONE_OK;
}

static hone_status one_device(uint32_t ordinal, hone_error *err)
{
    if (ordinal)
        return hone_fail(err, HONE_ERR_NOTFOUND, "cpu:%u does not exist, there is only cpu:0",
                         (unsigned)ordinal);
    return HONE_OK;
}

static uint64_t pages(int name)
{
    const long n = sysconf(name), size = sysconf(_SC_PAGESIZE);
    return n > 0 && size > 0 ? (uint64_t)n * (uint64_t)size : 0;
}

static hone_status device_info(const hone_host *host, uint32_t ordinal, hone_dev_info *info,
                               hone_error *err)
{
    hone_dev_info full = { .struct_size = sizeof full, .type = "cpu" };
    const size_t n = info->struct_size < sizeof full ? info->struct_size : sizeof full;
    char line[256];
    FILE *f;
    (void)host;
    if (one_device(ordinal, err))
        return HONE_ERR_NOTFOUND;
    (void)snprintf(full.name, sizeof full.name, "CPU");
    f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(full.name, sizeof full.name, "%.100s, %s", colon + 2,
                       cpu_kernels_choose(0)->name);
        break;
    }
    if (f)
        fclose(f);
    full.mem_total = pages(_SC_PHYS_PAGES);
    full.mem_free = pages(_SC_AVPHYS_PAGES);
    full.threads = (uint32_t)cores_allowed();
    full.flags = HONE_DEV_UNIFIED;
    full.struct_size = info->struct_size;
    memcpy(info, &full, n);
    return HONE_OK;
}

static void device_close(hone_dev *dev)
{
    if (!dev)
        return;
    for (uint32_t i = 0; i < dev->n_slots; i++) {
        cpu_slot *s = &dev->chunk[i / CPU_CHUNK][i % CPU_CHUNK];
        if (s->kind == CPU_PROGRAM)
            ew_code_free(dev->host, s->p);
        else
            dev->host->free(dev->host, s->p);
    }
    for (uint32_t i = 0; i < CPU_CHUNKS && dev->chunk[i]; i++)
        dev->host->free(dev->host, dev->chunk[i]);
    pthread_mutex_destroy(&dev->lock);
    dev->host->free(dev->host, dev);
}

/* The hone_fail() of a choice of `kernels` that cannot be. */
static hone_status no_kernels(int64_t choice, hone_error *err)
{
    const char *name = CPU_ISA_CHOICES;
    while (choice-- > 0)
        name = strchr(name, '|') + 1;
    return hone_fail(err, HONE_ERR_UNSUPPORTED,
                     "cpu: this processor cannot run the kernels \"%.*s\"; leave `kernels` at auto",
                     (int)strcspn(name, "|"), name);
}

static hone_status device_open(const hone_host *host, uint32_t ordinal, const void *config,
                               hone_dev **out, hone_error *err)
{
    static const cpu_config defaults = { 0 };
    const cpu_config *c = config ? config : &defaults;
    const cpu_kernels *k = cpu_kernels_choose(c->kernels);
    hone_dev *dev;
    if (one_device(ordinal, err))
        return HONE_ERR_NOTFOUND;
    if (!k)
        return no_kernels(c->kernels, err);
    dev = host->alloc(host, sizeof *dev, CPU_ALIGN, "cpu");
    if (!dev)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: no memory for the device");
    memset(dev, 0, sizeof *dev);
    dev->host = host;
    dev->k = k;
    dev->products = c->products;
    dev->exact = c->exact;
    dev->threads = c->threads ? (int)c->threads : cores_allowed();
    dev->pin = c->pin;
    dev->limit = c->memory_mb ? (uint64_t)c->memory_mb << 20 : pages(_SC_PHYS_PAGES);
    pthread_mutex_init(&dev->lock, NULL);
    *out = dev;
    return HONE_OK;
}

/* ------------------------------------------------------------------- memory */

static hone_status buffer_alloc(hone_dev *dev, uint64_t bytes, uint32_t kind, hone_buf *buf,
                                hone_error *err)
{
    void *p = NULL;
    bool fits;
    hone_status st;
    if (kind != HONE_MEM_DEVICE && kind != HONE_MEM_HOST)
        return hone_fail(err, HONE_ERR_ARG, "cpu: memory kind %u is unknown", (unsigned)kind);
    pthread_mutex_lock(&dev->lock);
    fits = bytes <= dev->limit - dev->used;
    if (fits)
        dev->used += bytes;
    pthread_mutex_unlock(&dev->lock);
    if (fits)
        p = dev->host->alloc(dev->host, bytes ? bytes : 1, bytes >= HUGE ? HUGE : CPU_ALIGN,
                             "cpu buffers");
    if (!p) {
        st = hone_fail(err, HONE_ERR_DEVMEM,
                       "cpu: no memory for a buffer of %llu bytes: %llu of %llu are taken",
                       (unsigned long long)bytes,
                       (unsigned long long)(dev->used - (fits ? bytes : 0)),
                       (unsigned long long)dev->limit);
        goto out;
    }
    if (bytes >= HUGE) /* fewer TLB misses; a refusal changes nothing */
        (void)madvise(p, bytes / HUGE * HUGE, MADV_HUGEPAGE);
    st = cpu_slot_add(dev, p, bytes, kind, buf, err);
    if (!st)
        return HONE_OK;
out:
    dev->host->free(dev->host, p);
    pthread_mutex_lock(&dev->lock);
    dev->used -= fits ? bytes : 0;
    pthread_mutex_unlock(&dev->lock);
    return st;
}

static void buffer_free(hone_dev *dev, hone_buf buf)
{
    uint64_t bytes = 0;
    uint32_t kind = 0;
    void *p = buf ? cpu_slot_take(dev, buf, &bytes, &kind) : NULL;
    if (!p)
        return;
    dev->host->free(dev->host, p);
    pthread_mutex_lock(&dev->lock);
    dev->used -= bytes;
    pthread_mutex_unlock(&dev->lock);
}

static hone_status buffer_map(hone_dev *dev, hone_buf buf, void **p, hone_error *err)
{
    const cpu_slot *s = cpu_slot_of(dev, buf);
    if (!s || s->kind != HONE_MEM_HOST)
        return hone_fail(err, HONE_ERR_ARG, "cpu: buffer %llx is not host memory",
                         (unsigned long long)buf);
    *p = s->p;
    return HONE_OK;
}

/* Where `bytes` at offset lie, or NULL with a message. */
static void *span(hone_dev *dev, const char *what, hone_buf buf, uint64_t offset, uint64_t bytes,
                  hone_error *err)
{
    const cpu_slot *s = cpu_slot_of(dev, buf);
    if (s && s->kind != CPU_PROGRAM && offset <= s->bytes && bytes <= s->bytes - offset)
        return (uint8_t *)s->p + offset;
    (void)hone_fail(err, HONE_ERR_ARG, "cpu: %s of %llu bytes at %llu: buffer %llx has %llu bytes",
                    what, (unsigned long long)bytes, (unsigned long long)offset,
                    (unsigned long long)buf, (unsigned long long)(s ? s->bytes : 0));
    return NULL;
}

/* ------------------------------------------------------------------- queues */

static hone_status queue_create(hone_dev *dev, hone_queue **out, hone_error *err)
{
    hone_queue *q = dev->host->alloc(dev->host, sizeof *q, CPU_ALIGN, "cpu");
    if (!q)
        return hone_fail(err, HONE_ERR_NOMEM, "cpu: no memory for a queue");
    *q = (hone_queue){ .dev = dev };
    *out = q;
    return HONE_OK;
}

static void queue_destroy(hone_queue *q)
{
    if (!q)
        return;
    q->dev->host->free(q->dev->host, q->scratch.p);
    q->dev->host->free(q->dev->host, q->panels.p);
    q->dev->host->free(q->dev->host, q);
}

static void *area(hone_queue *q, struct cpu_area *a, uint64_t bytes)
{
    const hone_host *host = q->dev->host;
    if (bytes > a->bytes) {
        host->free(host, a->p);
        a->p = host->alloc(host, bytes, bytes >= HUGE ? HUGE : CPU_ALIGN, "cpu scratch");
        a->bytes = a->p ? bytes : 0;
        if (a->bytes >= HUGE)
            (void)madvise(a->p, bytes / HUGE * HUGE, MADV_HUGEPAGE);
    }
    return a->p;
}

void *cpu_scratch(hone_queue *q, uint64_t bytes)
{
    return area(q, &q->scratch, bytes);
}

void *cpu_panels(hone_queue *q, uint64_t bytes)
{
    return area(q, &q->panels, bytes);
}

static hone_status queue_upload(hone_queue *q, hone_buf buf, uint64_t offset, const void *src,
                                uint64_t bytes, hone_error *err)
{
    void *p = span(q->dev, "upload", buf, offset, bytes, err);
    if (!p)
        return HONE_ERR_ARG;
    if (bytes)
        memcpy(p, src, bytes);
    return HONE_OK;
}

static hone_status queue_download(hone_queue *q, hone_buf buf, uint64_t offset, void *dst,
                                  uint64_t bytes, hone_error *err)
{
    const void *p = span(q->dev, "download", buf, offset, bytes, err);
    if (!p)
        return HONE_ERR_ARG;
    if (bytes)
        memcpy(dst, p, bytes);
    return HONE_OK;
}

static hone_status queue_sync(hone_queue *q, hone_error *err)
{
    (void)q, (void)err;
    return HONE_OK;
}

static hone_status queue_record(hone_queue *q, hone_event *event, hone_error *err)
{
    (void)q, (void)err;
    *event = 1; /* everything queued has happened */
    return HONE_OK;
}

static hone_status queue_wait(hone_queue *q, hone_event event, hone_error *err)
{
    (void)q;
    if (!event)
        return hone_fail(err, HONE_ERR_ARG, "cpu: wait for event 0");
    return HONE_OK;
}

static void event_free(hone_dev *dev, hone_event event)
{
    (void)dev, (void)event;
}

/* -------------------------------------------------------------------- table */

const hone_device cpu_device = {
    .struct_size = sizeof cpu_device,
    .count = device_count,
    .info = device_info,
    .open = device_open,
    .close = device_close,
    .alloc = buffer_alloc,
    .free = buffer_free,
    .map = buffer_map,
    .queue_create = queue_create,
    .queue_destroy = queue_destroy,
    .upload = queue_upload,
    .download = queue_download,
    .sync = queue_sync,
    .record = queue_record,
    .wait = queue_wait,
    .event_free = event_free,
    .ew_compile = cpu_ew_compile,
    .ew_free = cpu_ew_free,
    .copy = cpu_copy,
    .fill = cpu_fill,
    .gemm = cpu_gemm,
    .elementwise = cpu_elementwise,
    .reduce = cpu_reduce,
    .gather_rows = cpu_gather_rows,
    .scatter_add_rows = cpu_scatter_add_rows,
    .rmsnorm = cpu_rmsnorm,
    .rmsnorm_bwd = cpu_rmsnorm_bwd,
    .rope = cpu_rope,
    .attention = cpu_attention,
    .attention_bwd = cpu_attention_bwd,
    .swiglu = cpu_swiglu,
    .swiglu_bwd = cpu_swiglu_bwd,
    .linear = cpu_linear,
    .loss = cpu_loss,
    .workspace = cpu_workspace,
};
