/* SPDX-License-Identifier: Apache-2.0 */
/* meshping-bench NAME [--json] ... */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_print(const bench_figure *figure, bool json)
{
    double ratio = figure->peer && figure->peer_value > 0 ? figure->value / figure->peer_value : 0;
    if (!json) {
        printf("%-8s %-28s %12.3f %-12s", figure->bench, figure->figure, figure->value, figure->unit);
        if (figure->peer)
            printf("  %s: %.3f, ratio %.2f", figure->peer, figure->peer_value, ratio);
        putchar('\n');
        return;
    }
    printf("{\"bench\":\"%s\",\"figure\":\"%s\",\"value\":%.6g,\"unit\":\"%s\",", figure->bench, figure->figure,
           figure->value, figure->unit);
    if (figure->peer)
        printf("\"peer\":\"%s\",\"peer_value\":%.6g,\"ratio\":%.4f}\n", figure->peer, figure->peer_value, ratio);
    else
        puts("\"peer\":null,\"peer_value\":null,\"ratio\":null}");
    fflush(stdout);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *text;
        int (*run)(int argc, char **argv);
    } benches[] = {
#define XX(name, text) {#name, text, name##_main},
        BENCH_MAP(XX)
#undef XX
    };
    for (size_t i = 0; argc > 1 && i < sizeof benches / sizeof *benches; i++)
        if (strcmp(argv[1], benches[i].name) == 0)
            return benches[i].run(argc - 1, argv + 1);
    FILE *out = argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr;
    fputs("Usage: meshping-bench NAME [--json]; each NAME has --help\n", out);
    for (size_t i = 0; i < sizeof benches / sizeof *benches; i++)
        fprintf(out, "  %-10s %s\n", benches[i].name, benches[i].text);
    return out == stdout ? 0 : 2;
}
