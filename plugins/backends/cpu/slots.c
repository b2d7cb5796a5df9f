/*
 * slots.c - handles: what the other side holds instead of pointers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cpu.h"

/* Low half: slot + 1; high half: generation. */
static uint64_t handle_of(uint32_t index, uint32_t generation)
{
    return (uint64_t)generation << 32 | (index + 1);
}

static cpu_slot *slot_at(const hone_dev *dev, uint32_t index)
{
    cpu_slot *chunk = __atomic_load_n(&dev->chunk[index / CPU_CHUNK], __ATOMIC_ACQUIRE);
    return chunk ? &chunk[index % CPU_CHUNK] : NULL;
}

/* Freed slots form a list: bytes holds the next one. Index n_slots: none. */
static cpu_slot *slot_new(hone_dev *dev, uint32_t *index, hone_error *err)
{
    const uint32_t i = dev->n_slots;
    cpu_slot *s;
    if (dev->next_free) {
        *index = dev->next_free - 1;
        s = slot_at(dev, *index);
        dev->next_free = (uint32_t)s->bytes;
        return s;
    }
    if (i == CPU_CHUNK * CPU_CHUNKS) {
        (void)hone_fail(err, HONE_ERR_LIMIT, "cpu: more than %u buffers", CPU_CHUNK * CPU_CHUNKS);
        return NULL;
    }
    if (i % CPU_CHUNK == 0) {
        const uint64_t bytes = CPU_CHUNK * sizeof(cpu_slot);
        s = dev->host->alloc(dev->host, bytes, CPU_ALIGN, "cpu handles");
        if (!s) {
            (void)hone_fail(err, HONE_ERR_NOMEM, "cpu: no memory for %u more buffer handles",
                            CPU_CHUNK);
            return NULL;
        }
        memset(s, 0, bytes);
        __atomic_store_n(&dev->chunk[i / CPU_CHUNK], s, __ATOMIC_RELEASE);
    }
    dev->n_slots++;
    *index = i;
    return slot_at(dev, i);
}

hone_status cpu_slot_add(hone_dev *dev, void *p, uint64_t bytes, uint32_t kind, uint64_t *handle,
                         hone_error *err)
{
    uint32_t index = 0;
    cpu_slot *s;
    pthread_mutex_lock(&dev->lock);
    s = slot_new(dev, &index, err);
    if (s) {
        s->p = p;
        s->bytes = bytes;
        s->kind = kind;
        s->generation++;
        *handle = handle_of(index, s->generation);
    }
    pthread_mutex_unlock(&dev->lock);
    return s ? HONE_OK : err ? err->code : HONE_ERR_NOMEM;
}

cpu_slot *cpu_slot_of(const hone_dev *dev, uint64_t handle)
{
    const uint32_t index = (uint32_t)handle - 1;
    cpu_slot *s = index < CPU_CHUNK * CPU_CHUNKS ? slot_at(dev, index) : NULL;
    return s && s->kind && s->generation == handle >> 32 ? s : NULL;
}

void *cpu_slot_take(hone_dev *dev, uint64_t handle, uint64_t *bytes, uint32_t *kind)
{
    cpu_slot *s;
    void *p = NULL;
    pthread_mutex_lock(&dev->lock);
    s = cpu_slot_of(dev, handle);
    if (s) {
        p = s->p;
        *bytes = s->bytes;
        *kind = s->kind;
        s->p = NULL;
        s->kind = 0;
        s->bytes = dev->next_free;
        dev->next_free = (uint32_t)handle;
    }
    pthread_mutex_unlock(&dev->lock);
    return p;
}
