/* What the fuzzer needs inside the process: which edges of the kernel have run, and allocations that fail.
 *
 * It is linked into the kernel's extension, and not itself counted: the compiler calls __sanitizer_cov_trace_pc
 * at each block of code that is built with -fsanitize-coverage=trace-pc. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Places for edges. Two edges may share one: the fuzzer then misses one of them. */
#define PLACES 16384

static uint8_t counts[PLACES], known[PLACES];
static uintptr_t before;

void __sanitizer_cov_trace_pc(void);

void
__sanitizer_cov_trace_pc(void)
{
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    counts[(here ^ before) % PLACES]++;
    before = here >> 1;
}

/* Number of edges that ran since the last call and that never ran so often before: once, twice, four times,
 * and so on. */
int guide_take(void);

int
guide_take(void)
{
    int news = 0;
    for (size_t at = 0; at < PLACES; at += sizeof(uint64_t)) {
        uint64_t eight;
        memcpy(&eight, counts + at, sizeof(eight));
        for (size_t index = at; eight && index < at + sizeof(eight); index++) {
            uint8_t often = counts[index] ? (uint8_t)(1u << (31 - __builtin_clz(counts[index]))) : 0;
            if (often & ~known[index]) {
                known[index] |= often;
                news++;
            }
        }
        memset(counts + at, 0, sizeof(eight));
    }
    return news;
}

/* Number of edges that have ever run. */
int guide_edges(void);

int
guide_edges(void)
{
    int edges = 0;
    for (size_t at = 0; at < PLACES; at++) {
        edges += known[at] != 0;
    }
    return edges;
}

static PyMemAllocatorEx real[2];
static int64_t until_failure = -1;
static bool installed;

static bool
fails(void)
{
    return until_failure >= 0 && until_failure-- == 0;
}

static void *
failing_malloc(void *context, size_t size)
{
    PyMemAllocatorEx *to = context;
    return fails() ? NULL : to->malloc(to->ctx, size);
}

static void *
failing_calloc(void *context, size_t count, size_t size)
{
    PyMemAllocatorEx *to = context;
    return fails() ? NULL : to->calloc(to->ctx, count, size);
}

static void *
failing_realloc(void *context, void *block, size_t size)
{
    PyMemAllocatorEx *to = context;
    return fails() ? NULL : to->realloc(to->ctx, block, size);
}

static void
real_free(void *context, void *block)
{
    PyMemAllocatorEx *to = context;
    to->free(to->ctx, block);
}

/* Call a Python function while one allocation fails, after so many that succeed. `failed` tells whether it did. */
PyObject *guide_call(PyObject *function, PyObject *args, int64_t count, int *failed);

PyObject *
guide_call(PyObject *function, PyObject *args, int64_t count, int *failed)
{
    if (!installed) {
        static const PyMemAllocatorDomain domains[] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
        for (size_t index = 0; index < 2; index++) {
            PyMem_GetAllocator(domains[index], &real[index]);
            PyMemAllocatorEx ours = {&real[index], failing_malloc, failing_calloc, failing_realloc, real_free};
            PyMem_SetAllocator(domains[index], &ours);
        }
        installed = true;
    }
    until_failure = count;
    PyObject *result = PyObject_Call(function, args, NULL);
    *failed = until_failure < 0;
    until_failure = -1;
    return result;
}
