/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kinds of inodes that fragment -a makes besides those of -x: whatever
 * the features of the image allow.  What would need keys (encrypt, verity) has
 * random bytes where the kernel would have ciphertext or hashes.
 */
#include "craft.h"

#include <string.h>
#include <ext2fs/ext2_ext_attr.h>

#define CASEFOLD_FL	0x40000000
#define EOFBLOCKS_FL	0x00400000
#define POLICY_INDEX	9 /* of an encryption policy, an xattr "c" */
#define MERKLE_BOUNDARY 65536

enum {
	ALTERNATING_DEEP = 4 * 84 * 84 + 30, /* extents: depth 3 with 1k */
	MANY_NAMES = 1200,
	BOOT_FILES = 2,
};

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static void add_flags(struct fragmenter *f, ext2_ino_t ino, __u32 flags)
{
	struct ext2_inode_large inode;

	inode_read(f, ino, &inode);
	inode.i_flags |= flags;
	inode_write(f, ino, &inode);
}

static ext2_ino_t make_dir(struct fragmenter *f, ext2_ino_t parent,
			   const char *name)
{
	ext2_ino_t ino;

	set_clock(f);
	make_room(f, parent, name);
	must(ext2fs_new_inode(f->fs, parent, LINUX_S_IFDIR, NULL, &ino),
	     "taking an inode");
	must(ext2fs_mkdir(f->fs, parent, ino, name), "making a directory");
	return ino;
}

static bool has_large_inodes(const struct fragmenter *f)
{
	return EXT2_INODE_SIZE(f->fs->super) > EXT2_GOOD_OLD_INODE_SIZE;
}

/* -- mappings ----------------------------------------------------------- */

/* Blocks at each level of a block map, on a file system with extents too. */
static void make_block_map(struct fragmenter *f)
{
	size_t bs = f->fs->blocksize;
	blk64_t n = bs / 4;
	blk64_t start[] = { 0, 12 + 5, 12 + n + 3, 12 + n + n * 3 - 2,
			    12 + n + n * n + 7 };
	size_t count = bs > 16384 ? 4 : 5; /* not beyond 2 TiB */
	struct file file = file_new(f, (start[count - 1] + 40) * bs - 100);
	size_t i;

	for (i = 0; i < count; i++)
		file_grow(f, &file, start[i], i ? 40 : 9, false);
	file.block_map = true;
	file_finish(f, &file, "rare-block-map", 0);

	file = file_new(f, 12 * bs);
	file_grow(f, &file, 0, 12, false);
	file.block_map = true;
	file_finish(f, &file, "rare-block-map-direct", 0);
}

/* Written and unwritten blocks by turns: no defragmenter can join these. */
static void make_alternating(struct fragmenter *f, const char *name,
			     blk64_t extents)
{
	struct file file = file_new(f, extents * f->fs->blocksize);
	blk64_t lblk;

	for (lblk = 0; lblk < extents; lblk++)
		file_grow(f, &file, lblk, 1, lblk % 2);
	file_finish(f, &file, name, 0);
}

static void make_alternatings(struct fragmenter *f)
{
	blk64_t fanout = (f->fs->blocksize - 12) / 12;
	blk64_t room = ext2fs_free_blocks_count(f->fs->super) - f->free_goal;

	make_alternating(f, "rare-depth-1", 30);
	if (room > 9 * fanout) {
		make_alternating(f, "rare-depth-2", 4 * fanout + 30);
		make_torn(f, "rare-torn", 4 * fanout + 30);
	}
	if (fanout == 84 && room > 2 * ALTERNATING_DEEP)
		make_alternating(f, "rare-depth-3", ALTERNATING_DEEP);
}

/* Up to the last block that a file can have. */
static void make_vast(struct fragmenter *f)
{
	blk64_t last = UINT32_MAX - 1, unit = f->deck.unit;
	blk64_t start = (last - 4) / unit * unit;
	struct file file = file_new(f, (last + 1) * f->fs->blocksize);

	file_grow(f, &file, 0, 7, false);
	file_grow(f, &file, 1 << 20, 9, false);
	file_grow(f, &file, 1U << 31, 20, true);
	file_grow(f, &file, start, last - start + 1, false);
	file_finish(f, &file, "rare-vast", 0);
}

static void make_unwritten(struct fragmenter *f)
{
	struct file file = file_new(f, 50ULL * f->fs->blocksize);

	file_grow(f, &file, 0, 50, true);
	file_finish(f, &file, "rare-all-unwritten", 0);

	file = file_new(f, 0);
	file_grow(f, &file, 0, 50, true);
	file_finish(f, &file, "rare-all-behind-the-end", EOFBLOCKS_FL);

	/* an extent header, and nothing else */
	file = file_new(f, 0);
	file_finish(f, &file, "rare-no-extent", 0);
}

/* Its i_blocks counts blocks; the tree shrinks, and so must that. */
static void make_huge(struct fragmenter *f)
{
	size_t bs = f->fs->blocksize;
	ext2_ino_t ino = make_dense(f, "rare-huge-file", 900 * bs, 0);
	struct ext2_inode_large inode;
	blk64_t sectors;

	inode_read(f, ino, &inode);
	sectors = ext2fs_inode_i_blocks(f->fs, EXT2_INODE(&inode));
	inode.i_flags |= EXT4_HUGE_FILE_FL;
	inode.i_blocks = (__u32)(sectors / (bs / 512));
	inode_write(f, ino, &inode);
}

static void make_mappings(struct fragmenter *f)
{
	if (f->deck.unit == 1)
		make_block_map(f);
	if (!ext2fs_has_feature_extents(f->fs->super))
		return;
	if (f->deck.unit == 1)
		make_alternatings(f);
	make_unwritten(f);
	if (ext2fs_has_feature_huge_file(f->fs->super)) {
		make_vast(f); /* else the kernel takes no more than 2 TiB */
		make_huge(f);
	}
}

/* -- flags, devices, links ---------------------------------------------- */

static void make_flags(struct fragmenter *f)
{
	static const struct {
		const char *name;
		__u32 flag;
	} flags[] = {
		{ "rare-nodump", EXT2_NODUMP_FL },
		{ "rare-sync", EXT2_SYNC_FL },
		{ "rare-noatime", EXT2_NOATIME_FL },
		{ "rare-secrm", EXT2_SECRM_FL },
		{ "rare-undelete", EXT2_UNRM_FL },
		{ "rare-journal-data", EXT3_JOURNAL_DATA_FL },
		{ "rare-notail", EXT2_NOTAIL_FL },
	};
	struct ext2_inode_large inode;
	ext2_ino_t ino;
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		make_dense(f, flags[i].name, 30000, flags[i].flag);
	ino = make_dir(f, EXT2_ROOT_INO, "rare-immutable-dir");
	add_flags(f, ino, EXT2_IMMUTABLE_FL | EXT2_DIRSYNC_FL);
	ino = make_dir(f, EXT2_ROOT_INO, "rare-top-dir");
	add_flags(f, ino, EXT2_TOPDIR_FL);
	ino = make_dense(f, "rare-project", 50000, EXT4_PROJINHERIT_FL);
	if (!ext2fs_has_feature_project(f->fs->super) || !has_large_inodes(f))
		return;
	inode_read(f, ino, &inode);
	inode.i_projid = 4711;
	inode_write(f, ino, &inode);
}

static void make_specials(struct fragmenter *f)
{
	struct ext2_inode_large wide = { .i_block = { 0, 0x12300456 } };
	struct ext2_inode_large none = { 0 };
	char target[61];
	size_t len;

	inode_create(f, any_dir(f), "rare-socket", LINUX_S_IFSOCK | 0600,
		     &none);
	inode_create(f, any_dir(f), "rare-wide-device", LINUX_S_IFBLK | 0600,
		     &wide);
	for (len = 59; len <= 60; len++) { /* the last fast one, and a slow */
		memset(target, 't', len);
		target[len] = '\0';
		make_room(f, f->dir[2], target);
		must(ext2fs_symlink(f->fs, f->dir[2], 0,
				    len == 59 ? "rare-fast" : "rare-slow",
				    target),
		     "making a symlink");
	}
}

/* With a boot sector in use these stay where they are. */
static void make_boot(struct fragmenter *f)
{
	ext2_ino_t dir = make_dir(f, EXT2_ROOT_INO, "boot");
	struct file file;
	int i;

	for (i = 0; i < BOOT_FILES; i++) {
		file = file_new(f, 40ULL * f->fs->blocksize);
		file.dir = dir;
		file_grow(f, &file, 0, 40, false);
		file_finish(f, &file, i ? "loader" : "kernel", 0);
	}
}

/* Many blocks, to become an index by e2fsck -D. */
static void make_names(struct fragmenter *f, ext2_ino_t dir, int count)
{
	ext2_ino_t ino = make_dense(f, "rare-many-links", 5000, 0);
	int i;

	for (i = 0; i < count; i++)
		add_hard_link(f, dir, ino, 200);
}

/* -- extended attributes ------------------------------------------------ */

static void set_xattr(struct fragmenter *f, ext2_ino_t ino, const char *name,
		      const void *value, size_t len)
{
	struct ext2_xattr_handle *xattrs;

	must(ext2fs_xattrs_open(f->fs, ino, &xattrs), "opening xattrs");
	must(ext2fs_xattrs_read(xattrs), "reading xattrs");
	must(ext2fs_xattr_set(xattrs, name, value, len), "setting an xattr");
	must(ext2fs_xattrs_write(xattrs), "writing xattrs");
	must(ext2fs_xattrs_close(&xattrs), "closing xattrs");
}

static void set_random_xattr(struct fragmenter *f, ext2_ino_t ino,
			     const char *name, size_t len)
{
	char *value = must_alloc(malloc(len));
	size_t i;

	for (i = 0; i < len; i++)
		value[i] = (char)prng_next(&f->rng);
	set_xattr(f, ino, name, value, len);
	free(value);
}

/* One with an inode of its own, which counts as blocks of the owner. */
static void set_large_xattr(struct fragmenter *f, ext2_ino_t ino, size_t len)
{
	struct ext2_inode_large inode;

	set_random_xattr(f, ino, "user.large", len);
	inode_read(f, ino, &inode);
	must(ext2fs_iblk_add_blocks(f->fs, EXT2_INODE(&inode),
				    round_up(len,
					     f->fs->blocksize * f->deck.unit) /
					    f->fs->blocksize / f->deck.unit),
	     "counting blocks");
	inode_write(f, ino, &inode);
}

/* Gives @ino the xattr block that @owner has. */
static void share_xattr_block(struct fragmenter *f, ext2_ino_t owner,
			      ext2_ino_t ino)
{
	struct ext2_ext_attr_header *head =
		must_alloc(malloc(f->fs->blocksize));
	struct ext2_inode_large inode;
	blk64_t blk;

	inode_read(f, owner, &inode);
	blk = ext2fs_file_acl_block(f->fs, EXT2_INODE(&inode));
	if (!blk)
		die("no xattr block to share");
	must(ext2fs_read_ext_attr3(f->fs, blk, head, owner),
	     "reading an xattr block");
	head->h_refcount++;
	must(ext2fs_write_ext_attr3(f->fs, blk, head, owner),
	     "writing an xattr block");
	inode_read(f, ino, &inode);
	ext2fs_file_acl_block_set(f->fs, EXT2_INODE(&inode), blk);
	must(ext2fs_iblk_add_blocks(f->fs, EXT2_INODE(&inode), 1),
	     "counting blocks");
	inode_write(f, ino, &inode);
	free(head);
}

static void make_shared_xattrs(struct fragmenter *f)
{
	struct ext2_inode_large none = { 0 };
	size_t size = EXT2_INODE_SIZE(f->fs->super);
	size_t large = size > 512 ? size - 74 : 600; /* not in the inode */
	ext2_ino_t owner;

	large = large + 100 > f->fs->blocksize ? f->fs->blocksize - 100 : large;
	owner = make_dense(f, "rare-xattr-owner", 40000, 0);
	set_random_xattr(f, owner, "security.rare", large);
	share_xattr_block(f, owner, make_dense(f, "rare-xattr-2", 60000, 0));
	share_xattr_block(f, owner, make_dense(f, "rare-xattr-3", 0, 0));
	share_xattr_block(f, owner, make_dir(f, f->dir[0], "rare-xattr-4"));
	share_xattr_block(f, owner,
			  inode_create(f, any_dir(f), "rare-xattr-5",
				       LINUX_S_IFCHR | 0600, &none));
}

/* As getxattr(2) gives it: version 2, entries of tag, permissions and id. */
static void make_acls(struct fragmenter *f)
{
	static const __u32 acl[] = {
		2,   0x60001, ~0U, 0x60002, 1234, 0x40004,
		~0U, 0x60010, ~0U, 0x40020, ~0U,
	};
	ext2_ino_t dir = make_dir(f, f->dir[1], "rare-acl-dir");

	set_xattr(f, make_dense(f, "rare-acl", 70000, 0),
		  "system.posix_acl_access", acl, sizeof(acl));
	set_xattr(f, dir, "system.posix_acl_access", acl, sizeof(acl));
	set_xattr(f, dir, "system.posix_acl_default", acl, sizeof(acl));
}

static void make_all_xattrs(struct fragmenter *f)
{
	size_t bs = f->fs->blocksize;

	if (!ext2fs_has_feature_xattr(f->fs->super))
		return;
	make_shared_xattrs(f);
	make_acls(f);
	if (!ext2fs_has_feature_ea_inode(f->fs->super) || bs > 4096)
		return;
	set_large_xattr(f, make_dense(f, "rare-ea-inode", 30000, 0), bs * 4);
	set_large_xattr(f, make_dir(f, f->dir[0], "rare-ea-inode-dir"), 50000);
}

/* -- features ----------------------------------------------------------- */

static void make_inline(struct fragmenter *f)
{
	struct ext2_inode_large inode = { 0 };
	char bytes[90], name[NAME_ROOM];
	ext2_ino_t ino;
	size_t len, i;

	for (len = 10; len <= sizeof(bytes); len += 40) {
		for (i = 0; i < len; i++)
			bytes[i] = (char)prng_next(&f->rng);
		memset(&inode, 0, sizeof(inode));
		make_name(f, "rare-inline", 5, name);
		ino = inode_create(f, any_dir(f), name, LINUX_S_IFREG | 0644,
				   &inode);
		inode.i_flags |= EXT4_INLINE_DATA_FL;
		must(ext2fs_inode_size_set(f->fs, EXT2_INODE(&inode),
					   (ext2_off64_t)len),
		     "setting a size");
		inode_write(f, ino, &inode);
		must(ext2fs_inline_data_init(f->fs, ino), "making inline data");
		must(ext2fs_inline_data_set(f->fs, ino, NULL, bytes, len),
		     "writing inline data");
	}
}

static void make_casefold(struct fragmenter *f)
{
	ext2_ino_t dir = make_dir(f, EXT2_ROOT_INO, "rare-casefold");

	add_flags(f, dir, CASEFOLD_FL);
	make_names(f, dir, 300);
	add_flags(f, make_dir(f, dir, "Rare-Empty"), CASEFOLD_FL);
}

/*
 * Pages of the Merkle tree behind the end of the file, at the next multiple
 * of 64 KiB, and the descriptor in the last block, its size at the very end.
 */
static void make_verity(struct fragmenter *f)
{
	size_t bs = f->fs->blocksize;
	uint64_t size = 90 * bs + 123, merkle = round_up(size, MERKLE_BOUNDARY);
	struct file file = file_new(f, size);

	file.to_the_end = true;
	if (f->deck.unit * bs > MERKLE_BOUNDARY) { /* both in one cluster */
		file_grow(f, &file, 0, merkle / bs + 6, false);
	} else {
		file_grow(f, &file, 0, 91, false);
		file_grow(f, &file, merkle / bs, 6, false);
	}
	file_finish(f, &file, "rare-verity", EXT4_VERITY_FL);
}

/*
 * Puts an encryption policy into the inode, behind the fixed fields: the magic
 * number, one entry, the end of the list, and the value at the end.
 */
static void set_policy(struct fragmenter *f, ext2_ino_t ino, int version)
{
	size_t size = EXT2_INODE_SIZE(f->fs->super);
	size_t len = version == 1 ? 28 : 40, room;
	unsigned char value[40] = { (unsigned char)version, 1, 4, 2 };
	struct ext2_inode_large *inode = must_alloc(calloc(1, size));
	struct ext2_ext_attr_entry *entry;
	char *magic;

	must(ext2fs_read_inode_full(f->fs, ino, EXT2_INODE(inode), (int)size),
	     "reading an inode");
	memset(value + (version == 1 ? 4 : 8), 0xab, version == 1 ? 8 : 16);
	memset(value + len - 16, (int)(ino % 251), 16); /* the nonce */
	magic = (char *)inode + EXT2_GOOD_OLD_INODE_SIZE + inode->i_extra_isize;
	room = size - EXT2_GOOD_OLD_INODE_SIZE - inode->i_extra_isize - 4;
	*(__u32 *)(void *)magic = EXT2_EXT_ATTR_MAGIC;
	entry = (void *)(magic + 4);
	entry->e_name_len = 1;
	entry->e_name_index = POLICY_INDEX;
	entry->e_value_offs = (__u16)(room - len);
	entry->e_value_size = (__u32)len;
	memcpy(EXT2_EXT_ATTR_NAME(entry), "c", 1);
	memcpy((char *)entry + room - len, value, len);
	inode->i_flags |= EXT4_ENCRYPT_FL;
	must(ext2fs_write_inode_full(f->fs, ino, EXT2_INODE(inode), (int)size),
	     "writing an inode");
	free(inode);
}

/* A name as the kernel writes it: 16 bytes or more, all but '/' and NUL. */
static void make_cipher_name(struct fragmenter *f, char name[NAME_ROOM])
{
	size_t len = 16 * (1 + (size_t)prng_below(&f->rng, 9)), i;

	for (i = 0; i < len; i++) {
		name[i] = (char)(1 + prng_below(&f->rng, 255));
		if (name[i] == '/')
			name[i] = '.';
	}
	name[len] = '\0';
}

/* A length of 16 bits, little-endian, then the bytes. */
static void make_cipher_symlink(struct fragmenter *f, ext2_ino_t dir,
				int version)
{
	struct file file = file_new(f, 2 + 96);
	char name[NAME_ROOM], *block;
	size_t bs = f->fs->blocksize;
	ext2_ino_t ino;
	blk64_t pblk;

	make_cipher_name(f, name);
	file.dir = dir;
	file.mode = LINUX_S_IFLNK | 0777;
	file_grow(f, &file, 0, 1, false);
	pblk = file.run[0].pblk;
	ino = file_finish(f, &file, name, 0);
	block = must_alloc(malloc(bs));
	must(io_channel_read_blk64(f->fs->io, pblk, 1, block), "reading");
	block[0] = 96;
	block[1] = 0;
	must(io_channel_write_blk64(f->fs->io, pblk, 1, block), "writing");
	free(block);
	set_policy(f, ino, version);
}

/* A directory of that policy; all in it has the same, and nonces of its own. */
static void make_encrypted(struct fragmenter *f, int version)
{
	ext2_ino_t dir, ino;
	struct file file;
	char name[NAME_ROOM];
	int i;

	make_name(f, "rare-encrypted", 5, name);
	dir = make_dir(f, EXT2_ROOT_INO, name);
	set_policy(f, dir, version);
	for (i = 0; i < 60; i++) {
		make_cipher_name(f, name);
		if (i % 20 == 0) {
			ino = make_dir(f, dir, name);
		} else {
			file = file_new(f, prng_below(&f->rng, 80) * 1024 + 1);
			file.dir = dir;
			file.to_the_end = true;
			file_grow(f, &file, 0,
				  round_up(file.size, f->fs->blocksize) /
					  f->fs->blocksize,
				  false);
			ino = file_finish(f, &file, name, 0);
		}
		set_policy(f, ino, version);
	}
	make_cipher_symlink(f, dir, version);
}

void make_rare(struct fragmenter *f)
{
	struct ext2_super_block *super = f->fs->super;

	make_mappings(f);
	make_flags(f);
	make_specials(f);
	make_boot(f);
	make_all_xattrs(f);
	make_names(f, make_dir(f, EXT2_ROOT_INO, "rare-many-names"),
		   MANY_NAMES);
	if (ext2fs_has_feature_inline_data(super))
		make_inline(f);
	if (ext2fs_has_feature_casefold(super))
		make_casefold(f);
	if (ext2fs_has_feature_verity(super) &&
	    ext2fs_has_feature_extents(super))
		make_verity(f);
	if (ext2fs_has_feature_encrypt(super) && has_large_inodes(f)) {
		make_encrypted(f, 1);
		make_encrypted(f, 2);
	}
}
