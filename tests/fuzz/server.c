/* SPDX-License-Identifier: Apache-2.0 */

#include "server.h"

#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/keys.h"
#include "meshpingd/peers.h"
#include "meshpingd/pin_change.h"
#include "meshpingd/settings.h"
#include "meshpingd/web.h"
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUIET_TURNS 3 /* of the loop, without a byte: then there is nothing more to come */
#define CHEAP_N 2     /* of scrypt: what is right here need not be hard to guess */
#define ANSWER_S 20   /* a password takes half a second, and several may wait */
#define MAIL_URL "smtp://127.0.0.1:9"

static server s;
static server_keys keys;
static char directory[] = "/tmp/meshping-fuzz-XXXXXX";
static uint8_t session_hash[MESHPING_TOKEN_HASH_LEN];
static uv_poll_t store_poll;

static void check(bool holds, const char *what, const char *answer)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %.2000s\n", what, answer);
    abort();
}

static void must(meshping_status status, const meshping_error *err)
{
    check(status == MESHPING_OK, "the server does not start", err->message);
}

/* ---- the server ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_directory(void)
{
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void on_store(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    meshping_store_process(s.store);
}

static void add_user(const char *name, meshping_role role, meshping_error *err)
{
    static const uint8_t salt[PASSWORD_SALT_LEN] = {0};
    meshping_user_record user = {.role = role, .created_ms = server_unix_ms()};
    http_text_copy(user.name, sizeof user.name, name);
    must(password_encode(user.password, FUZZ_PASSWORD, strlen(FUZZ_PASSWORD), CHEAP_N, salt, err), err);
    must(meshping_store_user_save(s.store, &user, false, err), err);
}

static void fill(meshping_error *err)
{
    static const meshping_agent_state states[] = {MESHPING_AGENT_PENDING, MESHPING_AGENT_APPROVED};
    for (uint8_t i = 0; i < 2; i++) {
        meshping_agent_record agent = {.id = FUZZ_AGENTS + i, .public_key = {i}, .state = states[i]};
        agent.first_seen_ms = server_unix_ms();
        http_text_copy(agent.host_name, sizeof agent.host_name, "host");
        http_text_copy(agent.observed_address, sizeof agent.observed_address, "192.0.2.1");
        must(meshping_store_agent_save(s.store, &agent, err), err);
    }
    add_user("anna", MESHPING_ROLE_ADMIN, err);
    add_user("bert", MESHPING_ROLE_VIEWER, err);
}

static void set_targets(meshping_error *err)
{
    static const char text[] = "{\"targets\":[\"192.0.2.1\",\"192.0.2.2 two\"]}";
    json_object *json;
    meshping_target_list list;
    meshping_target defaults;
    size_t index;
    meshping_target_init(&defaults);
    must(json_body_parse(&json, text, strlen(text), err), err);
    must(targets_json_parse(&list, &index, json, 1, &defaults, 10, err), err);
    must(server_targets_replace(&s, &list, "", err), err);
    json_object_put(json);
}

static void start(void)
{
    static web *w;
    char path[sizeof directory + 16];
    uint16_t port = 0;
    meshping_error err = {0};
    meshping_store_options options;
    signal(SIGPIPE, SIG_IGN);
    check(mkdtemp(directory) != NULL, "no directory", directory);
    atexit(remove_directory);
    log_init(LOG_LEVEL_ERROR);
    config_defaults(server_config_keys, &s.config);
    http_text_copy(s.config.state_dir, sizeof s.config.state_dir, directory);
    http_text_copy(s.config.listen, sizeof s.config.listen, "127.0.0.1:0");
    http_text_copy(s.config.advertise, sizeof s.config.advertise, "127.0.0.1:1");
    http_text_copy(s.config.trusted_proxies, sizeof s.config.trusted_proxies, "127.0.0.1/32");
    http_text_copy(s.config.metrics_allow, sizeof s.config.metrics_allow, "127.0.0.1/32");
    http_text_copy(s.config.smtp_url, sizeof s.config.smtp_url, MAIL_URL);
    http_text_copy(s.config.smtp_from, sizeof s.config.smtp_from, "meshping@example.org");
    http_text_copy(s.config.public_url, sizeof s.config.public_url, "https://mon.example");
    descriptors_open(&s.descriptors, s.config.descriptors_reserved);
    uv_loop_init(&s.loop);
    snprintf(path, sizeof path, "%s/" SERVER_DATABASE_NAME, directory);
    meshping_store_options_init(&options);
    options.path = path;
    must(meshping_store_open(&s.store, &options, &err), &err);
    must(settings_load(&s, &err), &err);
    fill(&err);
    must(keys_open(&keys, directory, s.config.advertise, &err), &err);
    s.keys = &keys;
    memcpy(s.seal_key, keys.seal_key, sizeof s.seal_key);
    memcpy(s.ticket_key, keys.ticket_key, sizeof s.ticket_key);
    must(server_load(&s, &err), &err);
    must(pin_change_open(&s, &err), &err);
    must(http_start(&s, &err), &err);
    must(web_start(&w, &s, &keys, &port, &err), &err);
    set_targets(&err);
    uv_poll_init(&s.loop, &store_poll, meshping_store_fd(s.store));
    uv_poll_start(&store_poll, UV_READABLE, on_store);
    auth_token_hash(session_hash, strchr(FUZZ_COOKIE, '=') + 1);
    s.ready = true;
}

/* An input may have ended it, or taken the administrator's rights. */
static void renew_session(void)
{
    meshping_error err = {0};
    const auth_session *session = auth_session_find(s.http, strchr(FUZZ_COOKIE, '=') + 1);
    if (session && session->role == MESHPING_ROLE_ADMIN)
        return;
    meshping_web_session_record record = {.user_id = 1, .created_ms = server_unix_ms()};
    record.last_used_ms = record.created_ms;
    record.confirmed_ms = record.created_ms + INT64_C(86400000); /* fresh for as long as this runs */
    memcpy(record.token_hash, session_hash, sizeof record.token_hash);
    http_text_copy(record.csrf, sizeof record.csrf, FUZZ_CSRF);
    must(meshping_store_web_session_save(s.store, &record, &err), &err);
}

/* No e-mail leaves this machine, whatever server an input has set; what asked for one before gets it from here. */
static void keep_mail_here(void)
{
    http_text_copy(s.config.smtp_url, sizeof s.config.smtp_url, MAIL_URL);
    mail_reset_tick(s.http);
}

/* ---- what it may say ---- */

static bool has_line(const char *head, const char *start)
{
    return strcasestr(head, start) != NULL;
}

static size_t count_lines(const char *head, const char *start)
{
    size_t count = 0;
    for (const char *at = head; (at = strcasestr(at, start)) != NULL; at++)
        count++;
    return count;
}

static void check_body(const char *head, const char *body, size_t length)
{
    if (!has_line(head, "\r\nContent-Type: application/"))
        return;
    json_tokener *tokener = json_tokener_new();
    check(http_text_is_utf8(body), "the body is not UTF-8", body);
    json_object *json = json_tokener_parse_ex(tokener, body, (int)length);
    check(json != NULL, "the body is not JSON", body);
    json_object_put(json);
    json_tokener_free(tokener);
}

/* Returns the length of the answer at `text`, 0 when there is none more. */
static size_t check_answer(char *text, size_t length, bool *final)
{
    char *end = memmem(text, length, "\r\n\r\n", 4);
    check(end != NULL, "the head does not end", text);
    size_t head_length = (size_t)(end - text) + 4, body_length = 0;
    check(length > 12 && (memcmp(text, "HTTP/1.1 ", 9) == 0 || memcmp(text, "HTTP/1.0 ", 9) == 0), "not HTTP", text);
    int status = atoi(text + 9);
    end[2] = 0; /* the head is a string of whole lines now */
    check(strlen(text) == head_length - 2, "a NUL in the head", text);
    *final = status >= 200;
    if (status < 200)
        return status == 100 ? head_length : length; /* what follows an upgrade is no HTTP */
    check(status != 500, "an error within", text + head_length);
    check(!has_line(text, "\r\nX-Evil"), "a header of the request's making", text);
    if (has_line(text, "\r\nserver:")) /* libwebsockets' own: a request that it does not hand on */
        return length;
    const char *const once[] = {
        "\r\nContent-Security-Policy:", "\r\nX-Content-Type-Options:", "\r\nCache-Control:", "\r\nConnection:"};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        check(count_lines(text, once[i]) == 1, "a header is not there once", text);
    check(count_lines(text, "\r\nContent-Length:") <= 1 && count_lines(text, "\r\nSet-Cookie: __Host-meshping=") <= 1,
          "a header is there twice", text);
    const char *line = strcasestr(text, "\r\nContent-Length:");
    if (line)
        body_length = strtoul(line + strlen("\r\nContent-Length:"), NULL, 10);
    if (length == head_length) /* of HEAD */
        return head_length;
    check(length - head_length >= body_length, "the body is cut", text);
    check_body(text, text + head_length, body_length);
    return head_length + body_length;
}

static void check_all(char *text, size_t length, bool must_answer)
{
    size_t finals = 0;
    for (size_t at = 0; at < length;) {
        bool final;
        at += check_answer(text + at, length - at, &final);
        finals += final;
    }
    /* who does not wait for the answer is answered once: http.c, is_read_ahead */
    check(finals <= 1, "more than one answer", text);
    check(finals == 1 || !must_answer, "no answer", text);
}

/* ---- one connection ---- */

static int connect_pair(void)
{
    int ends[2];
    meshping_address peer;
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "no socket", "");
    check(meshping_address_parse(&peer, "127.0.0.1", NULL) == MESHPING_OK, "no address", "");
    check(peers_note(ends[0], &peer, uv_now(&s.loop)) == MESHPING_OK, "no memory", "");
    struct lws_vhost *vhost = lws_get_vhost_by_name(s.lws, "meshping");
    lws_sock_file_fd_type fd = {.sockfd = ends[0]};
    check(lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP, fd, NULL, NULL) != NULL, "not adopted",
          "");
    return ends[1];
}

static void turn(void)
{
    uv_run(&s.loop, UV_RUN_NOWAIT);
}

void server_ask(const void *bytes, size_t length, int must_answer)
{
    static char answer[8u << 20];
    static bool started;
    size_t got = 0, sent = 0;
    if (!started)
        start();
    started = true;
    renew_session();
    keep_mail_here();
    int fd = connect_pair();
    int64_t deadline_ms = server_mono_ms() + ANSWER_S * 1000;
    for (int quiet = 0; quiet < QUIET_TURNS && server_mono_ms() < deadline_ms;) {
        ssize_t now = sent < length ? send(fd, (const char *)bytes + sent, length - sent, MSG_NOSIGNAL) : 0;
        sent += now > 0 ? (size_t)now : 0;
        bool moved = now > 0;
        turn();
        now = recv(fd, answer + got, sizeof answer - 1 - got, 0);
        if (now == 0 || (now < 0 && errno != EAGAIN))
            break;
        got += now > 0 ? (size_t)now : 0;
        moved = moved || now > 0;
        if (!moved && s.loop.active_reqs.count > 0) { /* a worker hashes or reads: it ends sometime */
            struct pollfd wait = {.fd = uv_backend_fd(&s.loop), .events = POLLIN};
            poll(&wait, 1, 10);
            moved = true;
        }
        quiet = moved ? 0 : quiet + 1;
    }
    close(fd);
    for (int i = 0; i < QUIET_TURNS; i++)
        turn();
    answer[got] = 0;
    check_all(answer, got, must_answer != 0);
}
