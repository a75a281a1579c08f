package sqlite

import "syscall"

// network are the file systems of other machines, by their magic numbers
// (statfs(2)). FUSE is not among them: it is as often a local one.
var network = map[uint32]string{
	0x00006969: "NFS",
	0x0000517B: "SMB",
	0xFF534D42: "CIFS",
	0xFE534D42: "SMB2",
	0x5346414F: "AFS",
	0x73757245: "Coda",
	0x00C36400: "Ceph",
	0x0BD00BD0: "Lustre",
}

func networkFileSystem(path string) string {
	var s syscall.Statfs_t
	if syscall.Statfs(path, &s) != nil {
		return ""
	}
	return network[uint32(s.Type)]
}
