#!/bin/sh
# Brings a data set into data/: tools/fetch_data.sh mnist|fashion_mnist|cifar10|celeba|imagenet32|imagenet64 [--from FOLDER]
# Downloads it from its public home, or takes the files from FOLDER, where they may also be packed (.gz, .xz).
# Every file is checked against its MD5 before it takes its place.
# CelebA and ImageNet come from a FOLDER alone, since their homes ask for an account or an agreement, and are linked to where
# they lie: of celeba the pictures of img_align_celeba, with list_eval_partition.txt in or beside it split as that says; of
# imagenet32 and imagenet64 the files train_data_batch_1.npz .. train_data_batch_10.npz and val_data.npz.
set -eu
started_in=$(pwd)
cd -- "$(dirname -- "$0")/.."

# MD5 of the unpacked content, file
mnist="6bbc9ace898e44ae57da46a324031adb train-images-idx3-ubyte
a25bea736e30d166cdddb491f175f624 train-labels-idx1-ubyte
2646ac647ad5339dbf082846283269ea t10k-images-idx3-ubyte
27ae3e4e09519cfbb04c329615203637 t10k-labels-idx1-ubyte"
mnist_home=https://storage.googleapis.com/cvdf-datasets/mnist

# MD5 of the packed file, file
fashion_mnist="8d4fb7e6c68d591d4c3dfef9ec88bf0d train-images-idx3-ubyte.gz
25c81989df183df01b3e8a0aad5dffbe train-labels-idx1-ubyte.gz
bef4ecab320f06d8554ea6380940ec79 t10k-images-idx3-ubyte.gz
bb300cfdad3c16e7a12a480ee83cd310 t10k-labels-idx1-ubyte.gz"
fashion_mnist_home=https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion

cifar10="5dd7e06a14cb22eb9f671a540d1b7c25 data_batch_1.bin
5ea93a67294ea407fff1d09f752e9692 data_batch_2.bin
942cd6a4bcdd0dd3c604fbe906cb4421 data_batch_3.bin
ae636b3ba5c66a11e91e8cb52e771fcb data_batch_4.bin
53f37980c15c3d472c316c40844f3f0d data_batch_5.bin"
# The archive of the whole data set, and the first 1000 test images where a folder has only those.
cifar10_archive="c32a1d4ab5d03f1284b67883e8d87530 cifar-10-binary.tar.gz"
cifar10_home=https://www.cs.toronto.edu/~kriz
cifar10_test_part="371f65da31ad652f5e24b3699a3e6515 test_batch_first1000.bin"
cifar10_test_bytes=30730000

die() {
    echo "tools/fetch_data.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '2,7s/^# //p' "$0"
    exit "$1"
}

name=""
from=""
while [ $# -gt 0 ]; do
    case $1 in
    mnist | fashion_mnist | cifar10 | celeba | imagenet32 | imagenet64) name=$1 ;;
    fashion-mnist) name=fashion_mnist ;;
    --from)
        [ $# -gt 1 ] || die "--from needs a folder"
        from=$2
        shift
        ;;
    -h | --help) usage 0 ;;
    *) die "'$1' is neither a data set (mnist, fashion_mnist, cifar10, celeba, imagenet32, imagenet64) nor --from" ;;
    esac
    shift
done
[ -n "$name" ] || usage 2
case $from in
"" | /*) ;;
*) from=$started_in/$from ;;
esac
[ -z "$from" ] || [ -d "$from" ] || die "$from: no such folder"

to=data/$name
mkdir -p "$to"
part=$to/.part
trap 'rm -rf "$part" "$part.tar.gz"' EXIT

md5() {
    md5sum "$1" | cut -d' ' -f1
}

# Unpacks FILE, FILE.gz or FILE.xz of the folder $1 into $part; fails where there is none.
unpack() {
    if [ -f "$1/$2" ]; then
        cp "$1/$2" "$part"
    elif [ -f "$1/$2.gz" ]; then
        gzip -dc "$1/$2.gz" >"$part"
    elif [ -f "$1/$2.xz" ]; then
        xz -dc "$1/$2.xz" >"$part"
    else
        return 1
    fi
}

# The content in $part is FILE: checks it and puts it in place.
keep() {
    found=$(md5 "$part")
    [ "$found" = "$1" ] || die "$2: the MD5 of its content is $found, it should be $1"
    mv "$part" "$to/$2"
    echo "$to/$2"
}

present() {
    [ -f "$to/$2" ] && [ "$(md5 "$to/$2")" = "$1" ]
}

download() {
    command -v curl >/dev/null || tools/install.sh data
    echo "$1"
    curl --fail --location --retry 3 --progress-bar --output "$2" "$1" || die "cannot download $1"
}

fetch_mnist() {
    echo "$mnist" | while read -r sum file; do
        ! present "$sum" "$file" || continue
        if [ -n "$from" ]; then
            unpack "$from" "$file" || die "$from has no $file, $file.gz or $file.xz"
        else
            download "$mnist_home/$file.gz" "$part.tar.gz"
            gzip -dc "$part.tar.gz" >"$part" || die "$file.gz: not a gzip file"
        fi
        keep "$sum" "$file"
    done
}

fetch_fashion_mnist() {
    echo "$fashion_mnist" | while read -r sum file; do
        ! present "$sum" "$file" || continue
        if [ -z "$from" ]; then
            download "$fashion_mnist_home/$file" "$part"
        else
            [ -f "$from/$file" ] || die "$from has no $file"
            cp "$from/$file" "$part"
        fi
        keep "$sum" "$file"
    done
}

from_a_folder() {
    [ -n "$from" ] || die "$name: its home asks for $1; bring it here and give its folder with --from"
    from=$(cd -- "$from" && pwd)
}

# Removes what an earlier call linked in the folder $1, and the folder if nothing else is in it.
unlink_all() {
    [ -d "$1" ] || return 0
    find "$1" -maxdepth 1 -type l -delete
    rmdir "$1" 2>/dev/null || true
}

# Links the pictures that the partition file says are of set $1 into the folder $2.
link_partition() {
    mkdir -p "$to/$2"
    awk -v set="$1" '$2 == set { print $1 }' "$partition" |
        while read -r picture; do echo "$from/$picture"; done |
        xargs -d '\n' ln -s -t "$to/$2" -- || die "cannot link the pictures of $from"
    missing=$(find -L "$to/$2" -type l -print -quit)
    [ -z "$missing" ] || die "$from has no ${missing##*/}, which $partition names"
    echo "$to/$2: $(find "$to/$2" -type l | wc -l) pictures"
}

fetch_celeba() {
    from_a_folder "a browser"
    [ ! -d "$from/img_align_celeba" ] || from=$from/img_align_celeba
    partition=$from/list_eval_partition.txt
    [ -f "$partition" ] || partition=$from/../list_eval_partition.txt
    [ -n "$(find "$from" -maxdepth 1 \( -name '*.jpg' -o -name '*.png' \) -print -quit)" ] ||
        die "$from holds no pictures; give the folder img_align_celeba"
    for folder in "$to/train" "$to/test" "$to"; do unlink_all "$folder"; done
    mkdir -p "$to"
    if [ -f "$partition" ]; then
        link_partition 0 train
        link_partition 2 test
    else
        ln -s "$from" "$to/images"
        echo "$to/images: no list_eval_partition.txt in or beside $from, so data.held_out splits the pictures"
    fi
}

fetch_imagenet() {
    from_a_folder "an account"
    for file in train_data_batch_1.npz val_data.npz; do
        [ -f "$from/$file" ] || die "$from has no $file"
    done
    unlink_all "$to"
    mkdir -p "$to"
    for file in "$from"/train_data_batch_*.npz "$from/val_data.npz"; do
        [ "$(head -c 2 "$file")" = PK ] || die "$file: not an .npz"
        ln -s "$file" "$to/"
        echo "$to/${file##*/}"
    done
}

cifar10_complete() {
    echo "$cifar10" | while read -r sum file; do
        present "$sum" "$file" || exit 1
    done && { [ -f $to/test_batch.bin ] || [ -f $to/test_batch_first1000.bin ]; }
}

fetch_cifar10_from_folder() {
    echo "$cifar10" | while read -r sum file; do
        unpack "$from" "$file" || die "$from has no $file, $file.gz or $file.xz"
        keep "$sum" "$file"
    done
    if unpack "$from" test_batch.bin; then
        bytes=$(wc -c <"$part")
        [ "$bytes" -eq $cifar10_test_bytes ] || die "test_batch.bin: $bytes bytes, not $cifar10_test_bytes"
        mv "$part" $to/test_batch.bin
    elif unpack "$from" test_batch_first1000.bin; then
        keep $cifar10_test_part
    else
        die "$from has no test_batch.bin"
    fi
}

fetch_cifar10() {
    ! cifar10_complete || return 0
    if [ -n "$from" ]; then
        fetch_cifar10_from_folder
        return
    fi
    download "$cifar10_home/${cifar10_archive#* }" "$part.tar.gz"
    found=$(md5 "$part.tar.gz")
    [ "$found" = "${cifar10_archive% *}" ] ||
        die "${cifar10_archive#* }: its MD5 is $found, it should be ${cifar10_archive% *}"
    mkdir "$part"
    tar -xzf "$part.tar.gz" -C "$part" --strip-components 1
    mv "$part"/*.bin $to/
}

kind=${name%32}
fetch_"${kind%64}"
echo "$name is in $to"
