/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/mail.h"

#include "common/hex.h"
#include "common/log.h"
#include "common/text.h"
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_S 10L
#define WHOLE_S 30L

struct mail_job {
    uv_work_t work;
    server *server;
    http_exchange *exchange; /* that waits for what becomes of it; NULL: nobody does, or no more */
    char to[MESHPING_USER_EMAIL_MAX];
    char url[512], from[256], user[256], password[256], ca_file[512];
    bool loopback;
    text_buffer text;
    size_t sent;
    CURLcode result;
    char error[CURL_ERROR_SIZE];
};
typedef struct mail_job mail_job;

bool mail_is_configured(const server_config *config)
{
    return config->smtp_url[0] != 0;
}

/* ---- configuration ---- */

static bool is_loopback(const char *url)
{
    CURLU *parsed = curl_url();
    char *host = NULL;
    struct in_addr four;
    bool loopback = false;
    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK)
        loopback =
            (inet_pton(AF_INET, host, &four) == 1 && *(const uint8_t *)&four == 127) || strcmp(host, "[::1]") == 0;
    curl_free(host);
    curl_url_cleanup(parsed);
    return loopback;
}

meshping_status mail_check_public_url(const char *url, meshping_error *err)
{
    if (strncmp(url, "https://", 8) != 0 || !url[8] || strpbrk(url, " \t\"<>#?"))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "public_url: https://HOST[:PORT] is needed, e-mails carry links to it");
    return MESHPING_OK;
}

meshping_status mail_check(const server_config *config, meshping_error *err)
{
    if (!mail_is_configured(config))
        return MESHPING_OK;
    if (strncmp(config->smtp_url, "smtp://", 7) != 0 && strncmp(config->smtp_url, "smtps://", 8) != 0)
        return meshping_error_set(err, MESHPING_INVALID,
                                  "smtp_url: \"%s\" is not smtp://HOST:PORT or smtps://HOST:PORT", config->smtp_url);
    if (strchr(config->smtp_url, '@')) /* not told: there may be a password in it */
        return meshping_error_set(err, MESHPING_INVALID,
                                  "smtp_url: no user or password in it: smtp_user and smtp_password_file are for them");
    if (!config->smtp_from[0] || !http_text_is_email(config->smtp_from, sizeof config->smtp_from))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "smtp_from: an address such as meshping@example.org is needed");
    if (config->smtp_user[0] && !config->smtp_password_file[0] && !config->smtp_password_kept)
        return meshping_error_set(
            err, MESHPING_INVALID,
            "smtp_password_file: smtp_user is set, its password is needed (on the page: smtp_password)");
    return mail_check_public_url(config->public_url, err);
}

/* ---- sending ---- */

static void job_free(mail_job *job)
{
    if (job->text.data)
        OPENSSL_cleanse(job->text.data, job->text.length);
    text_dispose(&job->text);
    OPENSSL_cleanse(job, sizeof *job);
    free(job);
}

static size_t give(char *to, size_t size, size_t count, void *user)
{
    mail_job *job = user;
    size_t left = job->text.length - job->sent, now = size * count < left ? size * count : left;
    memcpy(to, job->text.data + job->sent, now);
    job->sent += now;
    return now;
}

/* In a worker: only the job's own memory. */
static void work(uv_work_t *request)
{
    mail_job *job = request->data;
    CURL *curl = curl_easy_init();
    struct curl_slist *to = curl_slist_append(NULL, job->to);
    job->result = CURLE_OUT_OF_MEMORY;
    if (curl && to) {
        curl_easy_setopt(curl, CURLOPT_URL, job->url);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, WHOLE_S);
        /* in plain text to this very machine at the most */
        curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)(job->loopback ? CURLUSESSL_TRY : CURLUSESSL_ALL));
        if (job->ca_file[0])
            curl_easy_setopt(curl, CURLOPT_CAINFO, job->ca_file);
        if (job->user[0]) {
            curl_easy_setopt(curl, CURLOPT_USERNAME, job->user);
            curl_easy_setopt(curl, CURLOPT_PASSWORD, job->password);
        }
        curl_easy_setopt(curl, CURLOPT_MAIL_FROM, job->from);
        curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
        curl_easy_setopt(curl, CURLOPT_READDATA, job);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, job->error);
        job->result = curl_easy_perform(curl);
    }
    curl_slist_free_all(to);
    curl_easy_cleanup(curl);
}

static void answer_test(http_exchange *x, const mail_job *job, const char *why)
{
    x->mailing = NULL;
    lws_rx_flow_control(x->wsi, 1);
    http_audit_begin(x);
    if (why)
        http_respond_problem(x, 502, "%s did not take it: %s", job->url, why);
    else
        http_respond_empty(x, 204);
    http_audit_end(x);
}

static void after_work(uv_work_t *request, int cancelled)
{
    mail_job *job = request->data;
    const char *why = job->error[0] ? job->error : curl_easy_strerror(job->result);
    (void)cancelled; /* nobody cancels */
    job->server->mails_running--;
    if (job->result == CURLE_OK)
        log_info("mail", "an e-mail was taken by %s", job->url);
    else
        log_error("mail", "an e-mail was not taken by %s: %s", job->url, why);
    if (job->exchange)
        answer_test(job->exchange, job, job->result == CURLE_OK ? NULL : why);
    job_free(job);
}

static meshping_status read_password(char *password, size_t size, const char *path, meshping_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return meshping_error_set(err, MESHPING_IO, "smtp_password_file: %s cannot be read", path);
    size_t length = fread(password, 1, size - 1, file);
    fclose(file);
    password[length] = 0;
    password[strcspn(password, "\r\n")] = 0;
    return MESHPING_OK;
}

static void write_head(mail_job *job, const char *subject)
{
    char date[64];
    uint8_t random[16];
    char id[2 * sizeof random + 1];
    time_t now = (time_t)(server_unix_ms() / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
    text_printf(&job->text, "From: Meshping <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <", job->from,
                job->to, subject, date);
    if (RAND_bytes(random, sizeof random) == 1)
        text_puts(&job->text, hex_put(id, random, sizeof random));
    text_printf(&job->text, "%s>\r\n", strchr(job->from, '@'));
    text_puts(&job->text, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                          "Content-Transfer-Encoding: 8bit\r\nAuto-Submitted: auto-generated\r\n\r\n");
}

static meshping_status take_password(server *s, mail_job *job, meshping_error *err)
{
    if (!s->config.smtp_user[0])
        return MESHPING_OK;
    if (s->config.smtp_password_kept)
        return settings_password(s, job->password, err);
    return read_password(job->password, sizeof job->password, s->config.smtp_password_file, err);
}

static meshping_status start(server *s, http_exchange *x, const char *to, const char *subject, const char *text,
                             meshping_error *err)
{
    const server_config *config = &s->config;
    mail_job *job = calloc(1, sizeof *job);
    if (!job)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    job->work.data = job;
    job->server = s;
    job->exchange = x;
    http_text_copy(job->to, sizeof job->to, to);
    http_text_copy(job->url, sizeof job->url, config->smtp_url);
    http_text_copy(job->from, sizeof job->from, config->smtp_from);
    http_text_copy(job->user, sizeof job->user, config->smtp_user);
    http_text_copy(job->ca_file, sizeof job->ca_file, config->smtp_ca_file);
    job->loopback = is_loopback(config->smtp_url);
    meshping_status status = take_password(s, job, err);
    write_head(job, subject);
    text_puts(&job->text, text);
    if (status == MESHPING_OK && job->text.failed)
        status = meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    if (status == MESHPING_OK && uv_queue_work(&s->loop, &job->work, work, after_work) != 0)
        status = meshping_error_set(err, MESHPING_NOMEM, "no worker");
    if (status != MESHPING_OK) {
        job_free(job);
        return status;
    }
    s->mails_running++;
    if (x) {
        x->mailing = job;
        lws_rx_flow_control(x->wsi, 0); /* a client that sends on must not keep the loop busy meanwhile */
    }
    return MESHPING_OK;
}

meshping_status mail_send(server *s, const char *to, const char *subject, const char *text, meshping_error *err)
{
    return start(s, NULL, to, subject, text, err);
}

/* ---- a test ---- */

void mail_test(http_exchange *x, const char *to)
{
    char text[512];
    meshping_error err = {0};
    if (x->server->mails_running >= MAIL_RUNNING_MAX) {
        http_respond_busy(x, 5000, "another e-mail is being sent");
        return;
    }
    snprintf(text, sizeof text, "Hello,\r\n\r\n%s had Meshping send this to see whether its e-mails arrive.\r\n",
             x->identity.user);
    if (start(x->server, x, to, "A test from Meshping", text, &err) != MESHPING_OK)
        http_respond_error(x, &err);
}

void mail_test_abandon(http_exchange *x)
{
    if (x->mailing)
        x->mailing->exchange = NULL;
    x->mailing = NULL;
}
