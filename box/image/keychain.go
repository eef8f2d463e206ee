package image

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// keychain gives what registries want to see: of the variable DOCKER_AUTH_CONFIG,
// which holds the text of a Docker configuration file, and else of the files
// themselves with the helpers that they name (DOCKER_CONFIG, ~/.docker/config.json,
// REGISTRY_AUTH_FILE).
func keychain(getenv func(string) string) authn.Keychain {
	return authn.NewMultiKeychain(variableKeychain(getenv), authn.DefaultKeychain)
}

// variableKeychain reads DOCKER_AUTH_CONFIG each time that it is asked.
type variableKeychain func(string) string

// Resolve gives the credentials of a registry, or Anonymous.
func (getenv variableKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	var file struct {
		Auths map[string]struct {
			Auth, Username, Password, IdentityToken, RegistryToken string
		}
	}
	text := getenv("DOCKER_AUTH_CONFIG")
	if text == "" {
		return authn.Anonymous, nil
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return nil, because(reasonDenied, "The variable DOCKER_AUTH_CONFIG cannot be read: it must hold the JSON of a Docker configuration file.")
	}
	for host, a := range file.Auths {
		if !sameRegistry(host, target.RegistryStr()) {
			continue
		}
		if pair, err := base64.StdEncoding.DecodeString(a.Auth); err == nil && a.Auth != "" {
			a.Username, a.Password, _ = strings.Cut(string(pair), ":")
		}
		return authn.FromConfig(authn.AuthConfig{
			Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
		}), nil
	}
	return authn.Anonymous, nil
}

// sameRegistry compares the key of a configuration file, which may be an address,
// with the name of a registry.
func sameRegistry(key, registry string) bool {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key, _, _ = strings.Cut(key, "/")
	if key == "docker.io" || key == "registry-1.docker.io" {
		key = "index.docker.io"
	}
	return strings.EqualFold(key, registry)
}
