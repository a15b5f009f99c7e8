/* `sluis scan` as a program of its own, so that it is tested and measured without the rest of the
 * cli. */
int cmd_scan(int argc, char **argv);

int main(int argc, char **argv)
{
    return cmd_scan(argc, argv);
}
