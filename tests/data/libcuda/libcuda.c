/* As much of the CUDA driver as starts a kernel: it writes down what it is given (tests/test_driver_calls.py). */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int id, padding, value[16];
} Attribute;

typedef struct {
    unsigned grid[3], block[3], shared;
    void *stream;
    Attribute *attributes;
    unsigned count;
} Config;

int cuModuleLoadData(void **module, const char *image) {
    printf("load %.5s\n", image);
    *module = (void *)0x11;
    return 0;
}

int cuModuleGetFunction(void **function, void *module, const char *name) {
    printf("function %s of %p\n", name, module);
    *function = (void *)0x22;
    return 0;
}

int cuFuncSetAttribute(void *function, int attribute, int value) {
    printf("attribute %d of %p is %d\n", attribute, function, value);
    return 0;
}

int cuLaunchKernelEx(Config *c, void *function, void **parameters, void **extra) {
    printf("launch %p, grid %u %u %u, block %u %u %u, shared %u, stream %p", function, c->grid[0], c->grid[1],
           c->grid[2], c->block[0], c->block[1], c->block[2], c->shared, c->stream);
    printf(", parameters %p %d %g %p %p", *(void **)parameters[0], *(int *)parameters[1], *(float *)parameters[2],
           *(void **)parameters[3], *(void **)parameters[4]);
    for (unsigned i = 0; i < c->count; i++)
        printf(", attribute %d is %d", c->attributes[i].id, c->attributes[i].value[0]);
    printf(extra ? ", extra\n" : "\n");
    return 0;
}

int cuGetErrorString(int code, const char **text) {
    *text = "an error";
    return 0;
}

int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    static const struct {
        const char *name;
        void *function;
    } known[] = {
        {"cuModuleLoadData", cuModuleLoadData},     {"cuModuleGetFunction", cuModuleGetFunction},
        {"cuFuncSetAttribute", cuFuncSetAttribute}, {"cuLaunchKernelEx", cuLaunchKernelEx},
        {"cuGetErrorString", cuGetErrorString},
    };
    *function = 0;
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) *function = known[i].function;
    return *function ? 0 : 500; /* CUDA_ERROR_NOT_FOUND */
}
