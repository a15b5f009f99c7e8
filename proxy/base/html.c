/* Text that comes from anywhere, made fit for a page. */
#include "sluis/base/buffer.h"
#include "sluis/base/encode.h"
#include "sluis/base/utf8.h"

/* Characters that could make a line read otherwise than it is written. */
static bool misleads(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xffff) ||
           (c >= 0xe0000 && c <= 0xe0fff);
}

void html_escape(struct buffer *out, struct span text)
{
    static const struct {
        char c;
        const char *with;
    } marks[] = {{'&', "&amp;"},  {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"},
                 {'\'', "&#39;"}, {'\n', " "},   {'\r', " "},   {'\t', " "}};
    for (size_t i = 0; i < text.n;) {
        uint32_t c = (unsigned char)text.p[i];
        unsigned n = 1;
        const char *with = NULL;
        for (size_t m = 0; m < sizeof(marks) / sizeof(marks[0]); m++)
            if (text.p[i] == marks[m].c)
                with = marks[m].with;
        if (c >= 0x80)
            n = utf8_decode(span_from(text, i), &c);
        if (with)
            buffer_add_str(out, with);
        else if (n == 0 || misleads(c))
            buffer_add(out, SPAN("\xef\xbf\xbd"));
        else
            buffer_add(out, span_sub(text, i, i + n));
        i += n ? n : 1;
    }
}
