#include "sluis/verify.h"

int main(int argc, char **argv)
{
    return verify_main(argc, argv);
}
