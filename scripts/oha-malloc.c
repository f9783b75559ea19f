/* The six functions of jemalloc that oha calls, by the C library's allocator. Linked in its place by
 * scripts/oha.sh: jemalloc's configure and make take longer than all the rest of oha. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* jemalloc's flags: the low six bits are the logarithm of the alignment, the next one asks for zeros. */
static size_t alignment(int flags) {
    size_t asked = (size_t)1 << (flags & 63);
    return asked < sizeof(void *) ? sizeof(void *) : asked;
}

void *_rjem_malloc(size_t size) { return malloc(size); }
void *_rjem_calloc(size_t count, size_t size) { return calloc(count, size); }
void *_rjem_realloc(void *old, size_t size) { return realloc(old, size); }

void *_rjem_mallocx(size_t size, int flags) {
    void *new;
    if (posix_memalign(&new, alignment(flags), size) != 0) return NULL;
    return flags & 64 ? memset(new, 0, size) : new;
}

void *_rjem_rallocx(void *old, size_t size, int flags) {
    size_t had = malloc_usable_size(old);
    void *new = _rjem_mallocx(size, flags);
    if (new == NULL) return NULL;
    memcpy(new, old, had < size ? had : size);
    free(old);
    return new;
}

void _rjem_sdallocx(void *old, size_t size, int flags) {
    (void)size, (void)flags;
    free(old);
}
