package chart

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// added are the capabilities that a container may have, of all sets.
var added = map[string][]string{"agent": {"BPF", "PERFMON", "NET_ADMIN", "SYSLOG", "SYS_RESOURCE"}}

// pinned is a reference to an image that means one, always or for a release.
var pinned = regexp.MustCompile(`^[^@]+:v\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$`)

// TestPods looks at what pods may do, in all sets.
func TestPods(t *testing.T) {
	t.Parallel()
	h := newHelm(t)
	for _, s := range sets(t) {
		t.Run(s.name, func(t *testing.T) {
			text, err := h.template(t, s.namespace, kubeVersion, s.values)
			check(t, err)
			for _, o := range objects(t, text) {
				pod, all := o.containers()
				if pod == nil {
					continue
				}
				for _, name := range []string{"hostPID", "hostIPC", "shareProcessNamespace"} {
					if pod[name] != nil {
						t.Errorf("%s has %s", o.id, name)
					}
				}
				if pod["hostNetwork"] != nil && o.id != "DaemonSet fovea" {
					t.Errorf("%s is in the nodes' network", o.id)
				}
				volumes(t, o, pod)
				for _, c := range all {
					container(t, o.id, c)
				}
			}
		})
	}
}

// volumes of a pod must go with it, but for the directory of the runtime's socket.
func volumes(t *testing.T, o object, pod map[string]any) {
	t.Helper()
	list, _ := pod["volumes"].([]any)
	for _, v := range list {
		v := v.(map[string]any)
		host, isHost := v["hostPath"].(map[string]any)
		if isHost && (v["name"] != "cri" || o.id != "DaemonSet fovea" || host["type"] != "Directory") {
			t.Errorf("%s has the path %v of the node", o.id, host)
		}
	}
}

// container must have no more rights than it needs, and be looked after.
func container(t *testing.T, of string, c map[string]any) {
	t.Helper()
	name := c["name"].(string)
	bad := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s %s", of, name, fmt.Sprintf(format, args...))
	}
	if image, _ := c["image"].(string); !pinned.MatchString(image) {
		bad("has the image %q", image)
	}
	security, _ := c["securityContext"].(map[string]any)
	if security["allowPrivilegeEscalation"] != false || security["readOnlyRootFilesystem"] != true || security["privileged"] == true {
		bad("has %v", security)
	}
	if (security["runAsNonRoot"] == true) == (name == "agent") {
		bad("runs as root: %v", security)
	}
	profile, _ := security["seccompProfile"].(map[string]any)
	if profile["type"] == nil || profile["type"] == "Unconfined" {
		bad("has the seccomp profile %v", profile)
	}
	capabilities, _ := security["capabilities"].(map[string]any)
	if fmt.Sprint(capabilities["drop"]) != "[ALL]" {
		bad("keeps capabilities: %v", capabilities)
	}
	list, _ := capabilities["add"].([]any)
	for _, got := range list {
		if !slices.Contains(added[name], got.(string)) {
			bad("has the capability %v", got)
		}
	}
	resources, _ := c["resources"].(map[string]any)
	if len(resources) == 0 || c["terminationMessagePolicy"] != "FallbackToLogsOnError" {
		bad("has the resources %v and tells its end by %v", resources, c["terminationMessagePolicy"])
	}
	// The backend answers to nothing but the calls of browsers.
	if name != "backend" && (c["livenessProbe"] == nil || c["readinessProbe"] == nil) {
		bad("is not asked whether it works")
	}
	mounts, _ := c["volumeMounts"].([]any)
	for _, m := range mounts {
		m := m.(map[string]any)
		if m["subPath"] != nil {
			bad("would not see a change of %v", m["mountPath"])
		}
		if m["readOnly"] != true && m["name"] != "tmp" {
			bad("may write to %v", m["mountPath"])
		}
	}
	args, _ := c["args"].([]any)
	for _, a := range args {
		if strings.Contains(fmt.Sprint(a), "<no value>") {
			bad("has the option %v", a)
		}
	}
}
