/*
 * The hands of the tests on the bare host: runs one command after the other, as the user that it
 * is itself, and says how each ended.
 *
 * Asked on stdin: the words of a command, each ended by 0x1f, and a newline.
 * Answers on stdout: `STATUS OUT ERR\n` in decimal, then OUT bytes of the command's stdout and ERR
 * bytes of its stderr. STATUS is the exit code, or 128 and the signal's number.
 * A command's output goes to files, so that what it leaves running keeps nobody waiting.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define WORDS_MAX 64
#define LINE_MAX_BYTES 8192
#define OUT "/tmp/out"
#define ERR "/tmp/err"

/* Bytes as they are: no echo, no carriage returns, no end of file. */
static void raw(void)
{
    struct termios settings;
    if (tcgetattr(0, &settings) == 0) {
        cfmakeraw(&settings);
        tcsetattr(0, TCSANOW, &settings);
    }
}

static int run(char **words)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
        dup2(open(OUT, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 1);
        dup2(open(ERR, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 2);
        execv(words[0], words);
        perror(words[0]);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 255;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static long size_of(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 ? (long)found.st_size : 0;
}

/* `bytes` of them, also when the file has grown meanwhile. */
static void tell(const char *path, long bytes)
{
    FILE *file = fopen(path, "r");
    for (int byte; file && bytes > 0 && (byte = getc(file)) != EOF; bytes--)
        putchar(byte);
    if (file)
        fclose(file);
}

int main(void)
{
    char line[LINE_MAX_BYTES];
    raw();
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        char *words[WORDS_MAX + 1] = {NULL};
        int count = 0;
        line[strcspn(line, "\n")] = 0;
        for (char *at = line, *end; count < WORDS_MAX && (end = strchr(at, 0x1f)); at = end + 1) {
            *end = 0;
            words[count++] = at;
        }
        if (count == 0)
            continue;
        int status = run(words);
        long out = size_of(OUT), err = size_of(ERR);
        printf("%d %ld %ld\n", status, out, err);
        tell(OUT, out);
        tell(ERR, err);
        fflush(stdout);
    }
    return 0;
}
