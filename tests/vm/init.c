/*
 * The first process of the test hosts, static and alone in their initramfs.
 *
 * It mounts what a kernel offers, loads the modules that /modules lists, mounts the disk, and
 * goes on in one of two ways: a disk with a system on it becomes the root, and its init the first
 * process; a blank disk is a home, and /agent runs as an ordinary user on a host without userland.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK "/dev/vda"
#define WAIT_MS 10000
#define USER 1000

static void die(const char *what, const char *which)
{
    fprintf(stderr, "init: cannot %s %s: %s\n", what, which, strerror(errno));
    if (getpid() != 1)
        _exit(1);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

static void mount_at(const char *source, const char *dir, const char *type, unsigned long flags,
                     const char *data)
{
    mkdir(dir, 0755);
    if (mount(source, dir, type, flags, data) != 0)
        die("mount", dir);
}

static void open_console(void)
{
    int console = open("/dev/console", O_RDWR);
    if (console < 0)
        die("open", "/dev/console");
    for (int fd = 0; fd < 3; fd++)
        dup2(console, fd);
}

/* /modules: a path a line, each after those that it needs. */
static void load_modules(void)
{
    char path[512];
    FILE *list = fopen("/modules", "r");
    if (!list)
        die("open", "/modules");
    while (fgets(path, sizeof path, list)) {
        path[strcspn(path, "\n")] = 0;
        int module = open(path, O_RDONLY | O_CLOEXEC);
        if (module < 0)
            die("open", path);
        if (syscall(SYS_finit_module, module, "", 0) != 0 && errno != EEXIST)
            die("load", path);
        close(module);
    }
    fclose(list);
}

static void wait_for_disk(void)
{
    for (int waited = 0; access(DISK, F_OK) != 0; waited += 10) {
        if (waited >= WAIT_MS)
            die("wait for", DISK);
        usleep(10 * 1000);
    }
}

/* The disk becomes the root. */
static void go_on_there(void)
{
    const char *kept[] = {"/dev", "/proc", "/sys"};
    char target[64];
    for (int i = 0; i < 3; i++) {
        snprintf(target, sizeof target, "/disk%s", kept[i]);
        if (mount(kept[i], target, NULL, MS_MOVE, NULL) != 0)
            die("move", kept[i]);
    }
    if (chdir("/disk") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0)
        die("change root to", "/disk");
    execl("/sbin/init", "/sbin/init", NULL);
    die("run", "/sbin/init");
}

/* What a container needs besides, and no program does here. */
static void mount_the_rest(void)
{
    mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666");
    mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_at("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
    mount_at("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static void run_agent(void)
{
    pid_t agent = fork();
    if (agent < 0)
        die("fork", "/agent");
    if (agent == 0) {
        int line = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
        if (line < 0)
            die("open", "/dev/ttyS1");
        dup2(line, 0);
        dup2(line, 1);
        if (line > 2)
            close(line);
        setsid();
        if (setgroups(0, NULL) != 0 || setgid(USER) != 0 || setuid(USER) != 0)
            die("become", "the user");
        char *environment[] = {"HOME=/disk", "PATH=/", NULL};
        execle("/agent", "/agent", NULL, environment);
        die("run", "/agent");
    }
    /* Whatever the user's programs leave behind comes here to be buried. */
    for (pid_t ended = 0; ended != agent;)
        ended = wait(NULL);
}

int main(void)
{
    umask(022);
    mount_at("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
    open_console();
    mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    load_modules();
    wait_for_disk();
    mount_at(DISK, "/disk", "ext4", MS_NODEV, NULL);
    struct stat found; /* a link, that leads somewhere only once the disk is the root */
    if (lstat("/disk/sbin/init", &found) == 0)
        go_on_there();
    mount_the_rest();
    run_agent();
    sync();
    reboot(RB_POWER_OFF);
}
