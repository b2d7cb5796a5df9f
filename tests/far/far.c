/*
 * far.c - the far device: handles, memory, queues, events, the table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/far/far.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Handles are addresses STEP apart in space that is reserved and never accessible. */
#define SPACE (UINT64_C(1) << 38)
#define STEP 4096u

typedef struct config {
    int64_t threads;
} config;

typedef struct memory {
    hone_buf inner; /* 0: freed */
    uint64_t bytes;
} memory;

struct far_dev {
    hone_dev *cpu;        /* owned */
    uint8_t *space;       /* owned: SPACE bytes of nothing */
    pthread_mutex_t lock; /* for what follows */
    memory *memory;       /* owned, n_memory; handle = space + index * STEP */
    size_t n_memory, cap;
    far_queue *queues; /* owned, a list: queues that were destroyed stay on it */
    hone_queue *setup; /* owned: fills new buffers */
};

typedef struct event {
    far_queue *q; /* borrowed: lives as long as the device */
    uint64_t ticket;
} event;

static far_dev *dev_of(hone_dev *dev)
{
    return (far_dev *)(void *)dev;
}

const hone_dev *far_cpu(const far_dev *dev)
{
    return dev->cpu;
}

/* ------------------------------------------------------------------ handles */

static memory *memory_of(far_dev *dev, hone_buf handle)
{
    const uint64_t from = handle - (uint64_t)(uintptr_t)dev->space;
    return from < SPACE && from % STEP == 0 && from / STEP < dev->n_memory
               ? &dev->memory[from / STEP]
               : NULL;
}

hone_buf far_inner(far_dev *dev, hone_buf handle)
{
    hone_buf inner = UINT64_MAX; /* no handle of the CPU device */
    memory *m;
    pthread_mutex_lock(&dev->lock);
    m = memory_of(dev, handle);
    if (m && m->inner)
        inner = m->inner;
    pthread_mutex_unlock(&dev->lock);
    return inner;
}

static hone_status handle_new(far_dev *dev, hone_buf inner, uint64_t bytes, hone_buf *handle,
                              hone_error *err)
{
    hone_status st = HONE_OK;
    pthread_mutex_lock(&dev->lock);
    if (dev->n_memory == dev->cap) {
        const size_t cap = dev->cap ? 2 * dev->cap : 256;
        memory *more = cap * STEP <= SPACE ? realloc(dev->memory, cap * sizeof *more) : NULL;
        if (more) {
            dev->memory = more;
            dev->cap = cap;
        } else {
            st = hone_fail(err, HONE_ERR_NOMEM, "far: no more handles");
        }
    }
    if (!st) {
        dev->memory[dev->n_memory] = (memory){ inner, bytes };
        *handle = (uint64_t)(uintptr_t)dev->space + dev->n_memory++ * STEP;
    }
    pthread_mutex_unlock(&dev->lock);
    return st;
}

/* ------------------------------------------------------------- open and close */

static hone_status far_count(const hone_host *host, uint32_t *n, hone_error *err)
{
    return cpu_device.count(host, n, err);
}

static hone_status far_info(const hone_host *host, uint32_t ordinal, hone_dev_info *info,
                            hone_error *err)
{
    hone_status st = cpu_device.info(host, ordinal, info, err);
    if (!st) {
        (void)snprintf(info->type, sizeof info->type, "far");
        info->flags = 0;
        (void)snprintf(info->name, sizeof info->name, "memory out of reach (test)");
    }
    return st;
}

static void far_close(hone_dev *d)
{
    far_dev *dev = dev_of(d);
    if (!dev)
        return;
    for (far_queue *q = dev->queues; q; q = q->next)
        far_queue_stop(q);
    while (dev->queues) {
        far_queue *q = dev->queues;
        dev->queues = q->next;
        far_queue_free(q);
    }
    cpu_device.queue_destroy(dev->setup);
    cpu_device.close(dev->cpu);
    if (dev->space)
        (void)munmap(dev->space, SPACE);
    pthread_mutex_destroy(&dev->lock);
    free(dev->memory);
    free(dev);
}

static hone_status far_open(const hone_host *host, uint32_t ordinal, const void *cfg,
                            hone_dev **out, hone_error *err)
{
    const cpu_config c = { .threads = cfg ? ((const config *)cfg)->threads : 0 };
    far_dev *dev = calloc(1, sizeof *dev);
    hone_status st;
    void *space;
    if (!dev)
        return hone_fail(err, HONE_ERR_NOMEM, "far: no memory for the device");
    pthread_mutex_init(&dev->lock, NULL);
    space = mmap(NULL, SPACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED) {
        st = hone_fail(err, HONE_ERR_NOMEM, "far: cannot reserve address space");
        goto out;
    }
    dev->space = space;
    st = cpu_device.open(host, ordinal, &c, &dev->cpu, err);
    if (!st)
        st = cpu_device.queue_create(dev->cpu, &dev->setup, err);
    if (!st) {
        *out = (hone_dev *)(void *)dev;
        return HONE_OK;
    }
out:
    far_close((hone_dev *)(void *)dev);
    return st;
}

/* ------------------------------------------------------------------- memory */

static hone_status far_alloc(hone_dev *d, uint64_t bytes, uint32_t kind, hone_buf *buf,
                             hone_error *err)
{
    far_dev *dev = dev_of(d);
    hone_buf inner = 0;
    hone_status st = cpu_device.alloc(dev->cpu, bytes, kind, &inner, err);
    if (st)
        return st;
    {
        const hone_tensor all = hone_tensor_1d(inner, 0, HONE_U8, (int64_t)bytes);
        pthread_mutex_lock(&dev->lock);
        st = cpu_device.fill(dev->setup, &all, 0xff, err);
        pthread_mutex_unlock(&dev->lock);
    }
    if (!st)
        st = handle_new(dev, inner, bytes, buf, err);
    if (st)
        cpu_device.free(dev->cpu, inner);
    return st;
}

static void run_everything(far_dev *dev)
{
    for (far_queue *q = dev->queues; q; q = q->next)
        if (q->inner)
            far_queue_run_all(q);
}

static void far_free(hone_dev *d, hone_buf buf)
{
    far_dev *dev = dev_of(d);
    hone_buf inner = 0;
    memory *m;
    if (!buf)
        return;
    run_everything(dev);
    pthread_mutex_lock(&dev->lock);
    m = memory_of(dev, buf);
    if (m) {
        inner = m->inner;
        m->inner = 0;
    }
    pthread_mutex_unlock(&dev->lock);
    cpu_device.free(dev->cpu, inner);
}

static hone_status far_map(hone_dev *d, hone_buf buf, void **p, hone_error *err)
{
    far_dev *dev = dev_of(d);
    return cpu_device.map(dev->cpu, far_inner(dev, buf), p, err);
}

/* ------------------------------------------------------------------- queues */

static hone_status far_queue_create(hone_dev *d, hone_queue **out, hone_error *err)
{
    far_dev *dev = dev_of(d);
    far_queue *q = NULL;
    hone_status st = far_queue_open(dev, &q, err);
    if (st)
        return st;
    q->next = dev->queues;
    dev->queues = q;
    *out = (hone_queue *)(void *)q;
    return HONE_OK;
}

static void far_queue_destroy(hone_queue *queue)
{
    if (queue)
        far_queue_stop(far_queue_of(queue)); /* events may still name it */
}

typedef struct upload {
    far_command head;
    hone_buf buf;
    uint64_t offset, bytes;
    uint8_t data[];
} upload;

static hone_status upload_run(far_queue *q, far_command *c, hone_error *err)
{
    const upload *u = (const upload *)(const void *)c;
    return cpu_device.upload(q->inner, far_inner(q->dev, u->buf), u->offset, u->data, u->bytes,
                             err);
}

static hone_status far_upload(hone_queue *queue, hone_buf buf, uint64_t offset, const void *src,
                              uint64_t bytes, hone_error *err)
{
    upload *u = bytes < UINT64_C(1) << 46 ? malloc(sizeof *u + bytes) : NULL;
    if (!u)
        return hone_fail(err, HONE_ERR_NOMEM, "far: no memory for an upload of %llu bytes",
                         (unsigned long long)bytes);
    *u = (upload){ .head = { .bytes = sizeof *u + bytes, .run = upload_run },
                   .buf = buf,
                   .offset = offset,
                   .bytes = bytes };
    if (bytes)
        memcpy(u->data, src, bytes);
    (void)far_queue_add(far_queue_of(queue), &u->head);
    return HONE_OK;
}

static hone_status far_sync(hone_queue *queue, hone_error *err)
{
    far_queue_run_all(far_queue_of(queue));
    return far_queue_error(far_queue_of(queue), err);
}

typedef struct download {
    far_command head;
    hone_buf buf;
    uint64_t offset, bytes;
    void *dst; /* borrowed: the caller waits */
} download;

static hone_status download_run(far_queue *q, far_command *c, hone_error *err)
{
    const download *d = (const download *)(const void *)c;
    return cpu_device.download(q->inner, far_inner(q->dev, d->buf), d->offset, d->dst, d->bytes,
                               err);
}

static hone_status far_download(hone_queue *queue, hone_buf buf, uint64_t offset, void *dst,
                                uint64_t bytes, hone_error *err)
{
    download *d = malloc(sizeof *d);
    if (!d)
        return hone_fail(err, HONE_ERR_NOMEM, "far: no memory for a download");
    *d = (download){ .head = { .bytes = sizeof *d, .run = download_run },
                     .buf = buf,
                     .offset = offset,
                     .bytes = bytes,
                     .dst = dst };
    far_queue_run_to(far_queue_of(queue), far_queue_add(far_queue_of(queue), &d->head));
    return far_queue_error(far_queue_of(queue), err);
}

/* ------------------------------------------------------------------- events */

static hone_status mark_run(far_queue *q, far_command *c, hone_error *err)
{
    (void)q, (void)c, (void)err;
    return HONE_OK;
}

static hone_status far_record(hone_queue *queue, hone_event *out, hone_error *err)
{
    far_queue *q = far_queue_of(queue);
    event *e = malloc(sizeof *e);
    far_command *mark = malloc(sizeof *mark);
    if (!e || !mark) {
        free(e);
        free(mark);
        return hone_fail(err, HONE_ERR_NOMEM, "far: no memory for an event");
    }
    *mark = (far_command){ .bytes = sizeof *mark, .run = mark_run };
    *e = (event){ q, far_queue_add(q, mark) };
    *out = (uint64_t)(uintptr_t)e;
    return HONE_OK;
}

typedef struct wait_for {
    far_command head;
    event event; /* a copy: the caller may free his before this runs */
} wait_for;

static hone_status wait_run(far_queue *q, far_command *c, hone_error *err)
{
    const wait_for *w = (const wait_for *)(const void *)c;
    (void)err;
    if (w->event.q != q)
        far_queue_run_to(w->event.q, w->event.ticket);
    return HONE_OK;
}

static hone_status far_wait(hone_queue *queue, hone_event handle, hone_error *err)
{
    wait_for *w;
    if (!handle)
        return hone_fail(err, HONE_ERR_ARG, "far: wait for event 0");
    w = malloc(sizeof *w);
    if (!w)
        return hone_fail(err, HONE_ERR_NOMEM, "far: no memory to wait for an event");
    *w = (wait_for){ .head = { .bytes = sizeof *w, .run = wait_run },
                     .event = *(const event *)(uintptr_t)handle };
    (void)far_queue_add(far_queue_of(queue), &w->head);
    return HONE_OK;
}

static void far_event_free(hone_dev *dev, hone_event handle)
{
    (void)dev;
    free((event *)(uintptr_t)handle);
}

/* ----------------------------------------------------------------- programs */

static hone_status far_ew_compile(hone_dev *d, const hone_ew_program *program, hone_kernel *kernel,
                                  hone_error *err)
{
    return cpu_device.ew_compile(dev_of(d)->cpu, program, kernel, err);
}

static void far_ew_free(hone_dev *d, hone_kernel kernel)
{
    if (!kernel)
        return;
    run_everything(dev_of(d));
    cpu_device.ew_free(dev_of(d)->cpu, kernel);
}

/* -------------------------------------------------------------------- table */

static const hone_device table = {
    .struct_size = sizeof table,
    .count = far_count,
    .info = far_info,
    .open = far_open,
    .close = far_close,
    .alloc = far_alloc,
    .free = far_free,
    .map = far_map,
    .queue_create = far_queue_create,
    .queue_destroy = far_queue_destroy,
    .upload = far_upload,
    .download = far_download,
    .sync = far_sync,
    .record = far_record,
    .wait = far_wait,
    .event_free = far_event_free,
    .ew_compile = far_ew_compile,
    .ew_free = far_ew_free,
    .copy = far_copy,
    .fill = far_fill,
    .gemm = far_gemm,
    .elementwise = far_elementwise,
    .reduce = far_reduce,
    .gather_rows = far_gather_rows,
    .scatter_add_rows = far_scatter_add_rows,
    .rmsnorm = far_rmsnorm,
    .rmsnorm_bwd = far_rmsnorm_bwd,
    .rope = far_rope,
    .attention = far_attention,
    .attention_bwd = far_attention_bwd,
    .swiglu = far_swiglu,
    .swiglu_bwd = far_swiglu_bwd,
    .linear = far_linear,
    .loss = far_loss,
};

static const hone_option options_of_far[] = {
    HONE_ROW_I64(config, threads, 0, 1024, "0", "threads its ops use; 0: all"),
    HONE_OPTIONS_END,
};
static const hone_component component = {
    .struct_size = sizeof component,
    .flags = HONE_COMPONENT_DETERMINISTIC,
    .kind = HONE_KIND_DEVICE,
    .name = "far",
    .summary = "the CPU behind a wall: no host access, late ops (test)",
    .ops = &table,
    .options = options_of_far,
    .config_size = sizeof(config),
};
static const hone_component *const components[] = { &component };
static const hone_plugin plugin = {
    .struct_size = sizeof plugin,
    HONE_PLUGIN_ABI,
    .id = "hone.test.far",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .components = components,
    .n_components = 1,
};
HONE_PLUGIN_NOTE("hone.test.far", "0.1.0", 1, HONE_NOTE_ROW(HONE_KIND_DEVICE, "far", ""));
HONE_PLUGIN_ENTRY(&plugin)
