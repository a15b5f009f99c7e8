/* JSONTestSuite (Nicolas Seriot): n_ refused, y_ accepted save duplicate names, i_ as decided here.
 * Needs SLUIS_VECTORS; skipped without. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluis/base/json.h"

#define FILE_MAX (4 * 1024 * 1024)

/* y_ files that this scanner refuses on purpose: what a duplicate means differs from reader to
 * reader, so a masked value could be read beside an unmasked one. */
static const char *const refused_on_purpose[] = {
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
};

/* i_ files accepted: numbers of any size are text to us; lone surrogates are data. All other i_
 * files (invalid UTF-8, UTF-16, a byte order mark, 500 levels) are refused. */
static const char *const free_accepted[] = {
    "i_number_double_huge_neg_exp.json",
    "i_number_huge_exp.json",
    "i_number_neg_int_huge_exp.json",
    "i_number_pos_double_huge_exp.json",
    "i_number_real_neg_overflow.json",
    "i_number_real_pos_overflow.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
    "i_object_key_lone_2nd_surrogate.json",
    "i_string_1st_surrogate_but_2nd_missing.json",
    "i_string_1st_valid_surrogate_2nd_invalid.json",
    "i_string_incomplete_surrogate_and_escape_valid.json",
    "i_string_incomplete_surrogate_pair.json",
    "i_string_incomplete_surrogates_escape_valid.json",
    "i_string_invalid_lonely_surrogate.json",
    "i_string_invalid_surrogate.json",
    "i_string_inverted_surrogates_U+1D11E.json",
    "i_string_lone_second_surrogate.json",
};

static bool listed(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static bool expect_accepted(const char *name)
{
    if (name[0] == 'y')
        return !listed(name, refused_on_purpose,
                       sizeof refused_on_purpose / sizeof *refused_on_purpose);
    if (name[0] == 'i')
        return listed(name, free_accepted, sizeof free_accepted / sizeof *free_accepted);
    return false;
}

/* True when the file is judged as expected. */
static bool check_file(const char *folder, const char *name, char *text)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return false;
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t n = fread(text, 1, FILE_MAX, file);
    fclose(file);
    struct arena arena;
    struct json_doc doc;
    arena_init(&arena, 64 * 1024 * 1024);
    bool accepted = json_scan(&doc, span_of(text, n), &arena, NULL) == 0;
    bool good = accepted == expect_accepted(name);
    if (!good)
        printf("%s: %s (%s)\n", name, accepted ? "accepted" : "refused",
               doc.error ? doc.error : "-");
    arena_free(&arena);
    return good;
}

int main(void)
{
    const char *vectors = getenv("SLUIS_VECTORS");
    char folder[2048];
    if (!vectors) {
        printf("skipped: SLUIS_VECTORS is not set\n");
        return 77;
    }
    if (snprintf(folder, sizeof folder, "%s/json-test-suite/test_parsing", vectors) >=
        (int)sizeof folder)
        return 1;
    DIR *dir = opendir(folder);
    if (!dir) {
        printf("skipped: no JSON suite in SLUIS_VECTORS\n");
        return 77;
    }
    char *text = malloc(FILE_MAX);
    unsigned files = 0, wrong = 0;
    for (struct dirent *entry; text && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        files++;
        wrong += !check_file(folder, entry->d_name, text);
    }
    closedir(dir);
    free(text);
    printf("%u files, %u wrong\n", files, wrong);
    return wrong || files < 300;
}
