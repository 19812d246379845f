/* Pictures of users, as training and held-out sets. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/npy.h"
#include "data/files.h"
#include "data/images/sets.h"

enum { MOST_HELD_OUT = 10000, SHARE_HELD_OUT = 10 };

/* What a set is called that comes with a held-out one, and that; folders, and members of an .npz. */
static const char *const folder_names[][2] = {{"train", "test"}, {"train", "val"}};
static const char *const member_names[][2] = {{"x_train", "x_test"}, {"train_images", "test_images"}};

enum { PAIRS = 2 };

static bool is_folder(const char *path)
{
    struct stat about;
    return !stat(path, &about) && S_ISDIR(about.st_mode);
}

/* ---- with a held-out set of its own ---- */

static ts_status check_sizes(const ts_image_set *train, const ts_image_set *test)
{
    if (train->h != test->h || train->w != test->w || train->c != test->c)
        return ts_error(TS_FORMAT, "%s: images of %dx%dx%d where %s has %dx%dx%d", test->name, test->h,
                        test->w, test->c, train->name, train->h, train->w, train->c);
    return NULL;
}

/* Labels that do not mean the same in both sets are of no use. */
static void check_classes(const ts_images_options *options, ts_image_set *train, ts_image_set *test)
{
    char line[640];
    if (!train->classes || !test->classes || (train->names == test->names && test->classes <= train->classes))
        return;
    snprintf(line, sizeof line, "%s: its classes are not those of %s; labels are left out", test->name,
             train->name);
    if (options->warn)
        options->warn(options->context, line);
    free(train->labels);
    free(test->labels);
    train->labels = test->labels = NULL;
    train->classes = test->classes = 0;
}

static bool has_member(const ts_npz_member *members, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(members[i].name, name))
            return true;
    return false;
}

/* The names of both in the archive; NULL: it has no such two. */
static ts_status find_members(const char *path, const char *const **names)
{
    ts_npz_member *members;
    int count;
    *names = NULL;
    TS_TRY(ts_npz_list(path, &count, &members));
    for (int i = PAIRS - 1; i >= 0; i--)
        if (has_member(members, count, member_names[i][0]) && has_member(members, count, member_names[i][1]))
            *names = member_names[i];
    free(members);
    return NULL;
}

/* Pictures in colour beside a set without any are of three channels. */
static ts_status read_pair(const char *paths[2], const char *const *members, const ts_images_options *options,
                           ts_image_set *train, ts_image_set *test)
{
    ts_images_options same = *options;
    TS_TRY(ts_images_read_member(paths[0], members ? members[0] : NULL, options, train));
    same.channels = train->c;
    TS_TRY(ts_images_read_member(paths[1], members ? members[1] : NULL, &same, test));
    TS_TRY(check_sizes(train, test));
    check_classes(options, train, test);
    return NULL;
}

/* ---- */

static ts_status split(ts_image_set *all, int64_t held_out, ts_image_set *train, ts_image_set *test)
{
    const int64_t share = all->count / SHARE_HELD_OUT;
    int64_t count = held_out ? held_out : share < MOST_HELD_OUT ? share : MOST_HELD_OUT;
    if (!held_out && count < 2)
        count = 2; /* what a distance needs */
    if (count + 2 > all->count)
        return ts_error(TS_FORMAT, "%s: %lld picture%s, too few to hold %lld out and train on two", all->name,
                        (long long)all->count, all->count == 1 ? "" : "s", (long long)count);
    return ts_split(all, TS_PICTURES_KEY, count, train, test);
}

ts_status ts_pictures_read(const char *path, const ts_images_options *options, int64_t held_out,
                           ts_image_set *train, ts_image_set *test)
{
    char first[PATH_MAX], second[PATH_MAX];
    const char *const *members = NULL;
    const char *folders[] = {first, second}, *same[] = {path, path};
    for (int i = 0; i < PAIRS; i++) {
        snprintf(first, sizeof first, "%s/%s", path, folder_names[i][0]);
        snprintf(second, sizeof second, "%s/%s", path, folder_names[i][1]);
        if (is_folder(first) && is_folder(second))
            return read_pair(folders, NULL, options, train, test);
    }
    if (ts_ends_with(path, ".npz") && !is_folder(path))
        TS_TRY(find_members(path, &members));
    if (members)
        return read_pair(same, members, options, train, test);
    ts_image_set all;
    TS_TRY(ts_images_read(path, options, &all));
    ts_status status = split(&all, held_out, train, test);
    ts_image_set_release(&all);
    return status;
}
