package stock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// policyAPI is the path of the module that has the API of administrators' policies.
const policyAPI = "sigs.k8s.io/network-policy-api"

// PolicyDefinitions returns the paths of the CustomResourceDefinitions of
// AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy, in this
// order, with the fields that are experimental. The first call takes them from the
// Go module proxy, in the versions that hack/policyapi pins.
func PolicyDefinitions(ctx context.Context) (paths []string, err error) {
	for _, name := range []string{"policyapi/admin", "policyapi/cluster"} {
		dir, version, err := module(name, policyAPI)
		if err != nil {
			return nil, err
		}
		files, err := download(ctx, dir, policyAPI)
		if err != nil {
			return nil, fmt.Errorf("get %s %s: %w", policyAPI, version, err)
		}
		found, err := filepath.Glob(filepath.Join(files, "config/crd/experimental/*networkpolicies.yaml"))
		if err != nil {
			return nil, err
		}
		paths = append(paths, found...)
	}
	if len(paths) != 3 {
		return nil, fmt.Errorf("find the definitions of three kinds of policies: there are %q", paths)
	}
	return paths, nil
}

// download returns where the files of a module are that the one in dir pins.
func download(ctx context.Context, dir, path string) (string, error) {
	get := exec.CommandContext(ctx, "go", "mod", "download", "-json", path)
	get.Dir = dir
	out, err := get.Output()
	var said struct{ Dir, Error string }
	if decode := json.Unmarshal(out, &said); decode == nil && said.Error != "" {
		err = errors.New(said.Error)
	}
	if err != nil {
		return "", err
	}
	return said.Dir, nil
}
