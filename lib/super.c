/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "super.h"

#include <stdio.h>
#include <string.h>

#define CHECKSUM_AT	offsetof(struct ext2_super_block, s_checksum)
#define LAST_MOUNTED_AT offsetof(struct ext2_super_block, s_last_mounted)
#define VOLUME_NAME_AT	offsetof(struct ext2_super_block, s_volume_name)
#define SNAPSHOT_ID_AT	offsetof(struct ext2_super_block, s_snapshot_id)

_Static_assert(CHECKSUM_AT == 0x3fc, "ext4 superblock checksum");
_Static_assert(LAST_MOUNTED_AT == 0x88, "s_last_mounted");
_Static_assert(VOLUME_NAME_AT == 0x78, "s_volume_name");
_Static_assert(SNAPSHOT_ID_AT == 0x184, "s_snapshot_id");
_Static_assert(sizeof(struct ext2_super_block) == E4DF_SUPER_SIZE, "size");

static int has_checksum(const struct ext2_super_block *sb)
{
	return (sb->s_feature_ro_compat &
		EXT4_FEATURE_RO_COMPAT_METADATA_CSUM) != 0;
}

static __u32 checksum(const void *sb)
{
	return ext2fs_crc32c_le(~0U, sb, CHECKSUM_AT);
}

int e4df_super_is_valid(const struct ext2_super_block *sb)
{
	return !has_checksum(sb) || checksum(sb) == sb->s_checksum;
}

/*
 * Where the seal goes, in bytes; 0 if there is no room.  The number of a
 * snapshot means nothing without the inode of one, and dumpe2fs does not show
 * it then.
 */
static size_t seal_at(const struct ext2_super_block *sb)
{
	if (strnlen((const char *)sb->s_last_mounted, 64) < 60)
		return LAST_MOUNTED_AT + 60;
	if (strnlen((const char *)sb->s_volume_name, 16) < 12)
		return VOLUME_NAME_AT + 12;
	return sb->s_snapshot_inum ? 0 : SNAPSHOT_ID_AT;
}

int e4df_super_can_seal(const struct ext2_super_block *sb)
{
	return seal_at(sb) != 0;
}

/*
 * The CRC is affine over GF(2) in the four sealing bytes x:
 * crc(x) = crc(0) + M x.  M is invertible, as any 32 consecutive message bits
 * reach any CRC value.  The columns of M are the CRCs of single bits in an
 * image of zeros; Gauss-Jordan elimination finds x with M x = wanted.
 */
static __u32 solve(__u32 wanted, size_t at)
{
	unsigned char zeros[E4DF_SUPER_SIZE] = { 0 };
	__u32 base = checksum(zeros), x = 0;
	__u32 column[32], origin[32];
	unsigned int i, j;

	for (i = 0; i < 32; i++) {
		zeros[at + i / 8] = (unsigned char)(1 << i % 8);
		column[i] = checksum(zeros) ^ base;
		origin[i] = 1U << i;
		zeros[at + i / 8] = 0;
	}
	for (i = 0; i < 32; i++) {
		__u32 bit = 1U << i;

		for (j = i; j < 31 && !(column[j] & bit); j++)
			;
		__u32 c = column[j], o = origin[j];

		column[j] = column[i];
		origin[j] = origin[i];
		column[i] = c;
		origin[i] = o;
		for (j = i + 1; j < 32; j++)
			if (column[j] & bit) {
				column[j] ^= c;
				origin[j] ^= o;
			}
		if (wanted & bit) {
			wanted ^= c;
			x ^= o;
		}
	}
	return x;
}

int e4df_super_seal(struct ext2_super_block *sb)
{
	size_t at = seal_at(sb);
	unsigned char *seal = (unsigned char *)sb + at;
	__u32 x;

	if (!has_checksum(sb))
		return 1;
	if (!at) {
		sb->s_checksum = checksum(sb);
		return 0;
	}
	memset(seal, 0, 4);
	x = solve(checksum(sb) ^ sb->s_checksum, at);
	for (int i = 0; i < 4; i++)
		seal[i] = (unsigned char)(x >> 8 * i);
	return 1;
}

void e4df_super_print_uuid(const unsigned char uuid[16],
			   char text[E4DF_SUPER_UUID_TEXT])
{
	for (int i = 0; i < 16; i++)
		text += sprintf(text, "%s%02x",
				i == 4 || i == 6 || i == 8 || i == 10 ? "-" :
									"",
				uuid[i]);
}
