/*
 * queue.c - a queue that runs nothing before somebody waits for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/far/far.h"

#include <stdlib.h>

/* More than this waiting is run without being asked for. */
enum { MAX_PENDING = 64 << 20 };

static void *work(void *arg)
{
    far_queue *q = arg;
    pthread_mutex_lock(&q->lock);
    for (;;) {
        far_command *c = q->first;
        hone_error err = { 0 };
        hone_status st;
        if (q->ran == q->wanted) {
            if (q->stop)
                break;
            pthread_cond_wait(&q->wake, &q->lock);
            continue;
        }
        q->first = c->next;
        if (!q->first)
            q->last = NULL;
        pthread_mutex_unlock(&q->lock);
        st = c->run(q, c, &err);
        pthread_mutex_lock(&q->lock);
        if (st && !q->error.code) {
            q->error = err;
            q->error.code = st;
        }
        q->pending_bytes -= c->bytes;
        free(c);
        q->ran++;
        pthread_cond_broadcast(&q->done);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

hone_status far_queue_open(far_dev *dev, far_queue **out, hone_error *err)
{
    far_queue *q = calloc(1, sizeof *q);
    hone_dev *cpu = (hone_dev *)(uintptr_t)far_cpu(dev);
    hone_status st;
    if (!q)
        return hone_fail(err, HONE_ERR_NOMEM, "far: no memory for a queue");
    q->dev = dev;
    st = cpu_device.queue_create(cpu, &q->inner, err);
    if (!st) {
        pthread_mutex_init(&q->lock, NULL);
        pthread_cond_init(&q->wake, NULL);
        pthread_cond_init(&q->done, NULL);
        if (!pthread_create(&q->worker, NULL, work, q)) {
            *out = q;
            return HONE_OK;
        }
        cpu_device.queue_destroy(q->inner);
        st = hone_fail(err, HONE_ERR_IO, "far: cannot start a thread");
    }
    free(q);
    return st;
}

void far_queue_stop(far_queue *q)
{
    if (!q->inner)
        return;
    far_queue_run_all(q);
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
    pthread_join(q->worker, NULL);
    cpu_device.queue_destroy(q->inner);
    q->inner = NULL;
}

void far_queue_free(far_queue *q)
{
    far_queue_stop(q);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->wake);
    pthread_cond_destroy(&q->done);
    free(q);
}

uint64_t far_queue_add(far_queue *q, far_command *c)
{
    uint64_t ticket;
    c->next = NULL;
    pthread_mutex_lock(&q->lock);
    if (q->last)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
    ticket = ++q->queued;
    q->pending_bytes += c->bytes;
    if (q->pending_bytes > MAX_PENDING) {
        q->wanted = ticket;
        pthread_cond_signal(&q->wake);
        while (q->ran < ticket)
            pthread_cond_wait(&q->done, &q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    return ticket;
}

void far_queue_run_to(far_queue *q, uint64_t ticket)
{
    pthread_mutex_lock(&q->lock);
    if (q->wanted < ticket)
        q->wanted = ticket;
    pthread_cond_signal(&q->wake);
    while (q->ran < ticket)
        pthread_cond_wait(&q->done, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

void far_queue_run_all(far_queue *q)
{
    uint64_t ticket;
    pthread_mutex_lock(&q->lock);
    ticket = q->queued;
    pthread_mutex_unlock(&q->lock);
    far_queue_run_to(q, ticket);
}

hone_status far_queue_error(far_queue *q, hone_error *err)
{
    hone_error first;
    pthread_mutex_lock(&q->lock);
    first = q->error;
    q->error = (hone_error){ 0 };
    pthread_mutex_unlock(&q->lock);
    if (first.code && err)
        *err = first;
    return first.code;
}
