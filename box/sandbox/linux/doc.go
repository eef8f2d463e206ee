// Package linux is the sandbox driver for Linux: processes in their own pid, mount,
// network, ipc and uts namespaces, below a tiny init of our own, with limits by
// control groups (v1, hybrid and v2), a unique user, no capabilities and a system
// call filter. It works for root, and for root of a user namespace, into which Enter
// brings an ordinary user's program; there it may do less, and claims less.
//
// Nothing is re-executed for a box. An operating system thread enters the
// namespaces, makes one child with clone3, and is thrown away. What is dear is
// made ahead: a blank (namespaces, init, cgroups) and a scratch image wait in a
// pool, so that Create only puts the file system in place.
//
// It never knows what runs in a box, and it never lowers isolation: what the host
// cannot do is a false field of Capabilities, or an error of New.
package linux
