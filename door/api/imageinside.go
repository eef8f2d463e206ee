package api

import (
	"net/netip"
	"strings"
)

// mayName refuses references by which a function would make the server look where the
// function itself cannot: at the server's disk, at this machine and its neighbours, at
// other ports than that of registries.
func (c *call) mayName(reference string) error {
	if c.room == nil {
		return nil
	}
	refuse := func(why string) error {
		return invalid("Source image " + clip(reference) + " is not valid. Provide a valid source image. (" + why + ")")
	}
	for _, kind := range []string{"oci:", "oci-archive:", "docker-archive:"} {
		if strings.HasPrefix(reference, kind) {
			return refuse("A function cannot name images of the server's disk.")
		}
	}
	host, _, ok := strings.Cut(reference, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return nil // Docker's own registry
	}
	name, port, hasPort := strings.Cut(host, ":")
	if strings.Contains(port, ":") || hasPort && port != "443" {
		return refuse("A function can only name registries at port 443.")
	}
	last := name[strings.LastIndexByte(strings.TrimSuffix(name, "."), '.')+1:]
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if err == nil || name == "localhost" || strings.TrimSuffix(last, ".") == "localhost" || last == "" || last[0] >= '0' && last[0] <= '9' {
		return refuse("A function can only name registries by the names that they have in public.")
	}
	return nil
}
