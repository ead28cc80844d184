/*
 * The program of the service images: it answers every HTTP request on 127.0.0.1:$PORT with its arguments.
 *
 * It does what services do: it takes its socket from LISTEN_FDS when there is one, says READY=1 to
 * NOTIFY_SOCKET once it listens, which $READY_DELAY (seconds) puts off, and ends when it is asked to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_PASSED_FD 3
#define BACKLOG 16

static void die(const char *what)
{
    fprintf(stderr, "answer: cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

static void end(int signal)
{
    (void)signal;
    if (write(STDOUT_FILENO, "bye\n", 4) != 4)
        _exit(1);
    _exit(0);
}

static int number(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

/* The socket that systemd opened for this very process, or one of its own. */
static int listener(void)
{
    if (number("LISTEN_FDS") == 1 && number("LISTEN_PID") == getpid()) {
        puts("listening on what was passed");
        return FIRST_PASSED_FD;
    }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(number("PORT"))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0)
        die("listen");
    printf("listening on %d\n", number("PORT"));
    return fd;
}

static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof to.sun_path)
        return;
    strcpy(to.sun_path, path);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    if (*path == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, size) < 0)
        die("notify");
    close(fd);
    puts("said that it is ready");
}

static void answer(int peer, const char *text)
{
    char request[4096];
    if (read(peer, request, sizeof request) > 0)
        dprintf(peer, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s\n",
                strlen(text) + 1, text);
    shutdown(peer, SHUT_WR);
    while (read(peer, request, sizeof request) > 0)
        ;
    close(peer);
}

int main(int argc, char **argv)
{
    static char text[4096];
    for (int i = 1; i < argc; i++) {
        strncat(text, i > 1 ? " " : "", sizeof text - strlen(text) - 1);
        strncat(text, argv[i], sizeof text - strlen(text) - 1);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, end);
    signal(SIGPIPE, SIG_IGN);
    sleep(number("READY_DELAY"));
    int fd = listener();
    notify("READY=1\nSTATUS=it answers\n");
    for (;;) {
        int peer = accept(fd, NULL, NULL);
        if (peer >= 0)
            answer(peer, text);
        else if (errno != EINTR && errno != ECONNABORTED)
            die("accept");
    }
}
