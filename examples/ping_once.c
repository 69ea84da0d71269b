/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pings each argument once and prints what came back: the whole of a prober's life with an ordinary poll() loop.
 *     cc ping_once.c $(pkg-config --cflags --libs libmeshping) -o ping_once && ./ping_once 127.0.0.1 ::1
 */
#include <inttypes.h>
#include <meshping/probe.h>
#include <poll.h>
#include <stdio.h>

typedef struct tally {
    char **hosts;
    int waiting, failed;
} tally;

static void on_result(void *user, const meshping_probe_result *result)
{
    tally *t = user;
    char address[MESHPING_ADDRESS_TEXT_MAX] = "no address";
    if (result->address.family != MESHPING_FAMILY_NONE)
        meshping_address_format(&result->address, address);
    printf("%s (%s): %s", t->hosts[result->target_id], address, meshping_outcome_name(result->sample.outcome));
    if (result->sample.outcome == MESHPING_OUTCOME_OK)
        printf(" in %" PRIu32 " us\n", result->sample.rtt_us);
    else
        printf("\n");
    t->failed += result->sample.outcome != MESHPING_OUTCOME_OK;
    t->waiting--;
}

int main(int argc, char **argv)
{
    tally t = {.hosts = argv};
    meshping_error err = {0};
    meshping_prober *prober = NULL;
    meshping_prober_options options;
    meshping_prober_options_init(&options);
    options.on_result = on_result;
    options.user = &t;
    options.paced = false; /* at once, instead of at slots */
    options.probes_per_target = 1;
    if (meshping_prober_new(&prober, &options, &err) != MESHPING_OK)
        goto failed;
    meshping_now now = meshping_now_read();
    for (int i = 1; i < argc; i++) {
        meshping_target target;
        meshping_target_init(&target);
        target.id = (uint64_t)i;
        if (meshping_host_canonical(target.host, argv[i], &err) != MESHPING_OK ||
            meshping_prober_set_target(prober, &target, &now, &err) != MESHPING_OK)
            goto failed;
        t.waiting++;
    }
    while (t.waiting > 0) {
        now = meshping_now_read();
        int64_t wait_ns = meshping_prober_deadline_ns(prober) - now.mono_ns;
        int wait_ms = wait_ns <= 0 ? 0 : wait_ns > 1000000000 ? 1000 : (int)(wait_ns / 1000000) + 1;
        struct pollfd watched = {.fd = meshping_prober_fd(prober), .events = POLLIN};
        poll(&watched, 1, wait_ms);
        now = meshping_now_read();
        meshping_prober_process(prober, &now);
    }
    meshping_prober_free(prober);
    return t.failed > 0;
failed:
    fprintf(stderr, "ping_once: %s\n", err.message);
    meshping_prober_free(prober);
    return 2;
}
