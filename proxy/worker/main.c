/* sluis-media: started by the gateway (--worker) or by `sluis image`; --check tells what it has. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox.h"
#include "zygote.h"

#define PATH_BYTES 4096

static int check(void)
{
    char folder[PATH_BYTES], problem[160], versions[128];
    struct detect_settings settings;
    struct vision *vision;
    const char *models = models_folder(folder, sizeof folder);
    detect_settings_default(&settings);
    if (vision_new(models, &settings, &vision, problem) != 0)
        return 1;
    vision_versions(vision, versions, sizeof versions);
    printf("engine: %s (%s)\nmodels: %s\nlandlock: %d%s\n",
           picture_engine_word(vision_engine(vision)), versions, models ? models : "none",
           sandbox_landlock_abi(),
           sandbox_landlock_abi() ? "" : " (not in this kernel; seccomp carries it)");
    if (problem[0])
        printf("problem: %s\n", problem);
    int code = vision_engine(vision) == PICTURE_ENGINE_PPOCR ? 0 : 1;
    vision_free(vision);
    return code;
}

int main(int argc, char **argv)
{
    int type;
    socklen_t n = sizeof type;
    if (argc == 2 && strcmp(argv[1], "--check") == 0)
        return check();
    if (argc != 2 || strcmp(argv[1], "--worker") != 0 ||
        getsockopt(3, SOL_SOCKET, SO_TYPE, &type, &n) != 0) {
        fprintf(stderr, "usage: sluis-media --check\n"
                        "The gateway and `sluis image` start it for pictures (--worker).\n");
        return 2;
    }
    _exit(zygote_run()); /* no exit handlers of engines */
}
