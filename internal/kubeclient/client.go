package kubeclient

import (
	"errors"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// requests a second, and at once: a list of many pods is many pages.
const (
	requestRate  = 20
	requestBurst = 50
)

// InCluster tells whether this runs in a pod with a service account.
func InCluster() bool {
	_, err := rest.InClusterConfig()
	return err == nil
}

// Config returns how to reach the API, as the file kubeconfig says; if that is empty, the
// service account of the pod that this runs in does. It fails if there is nothing that
// says so.
func Config(kubeconfig string) (*rest.Config, error) {
	var c *rest.Config
	var err error
	if kubeconfig == "" {
		c, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			err = errors.New("this is no pod with a service account, and no kubeconfig was given")
		}
	} else {
		c, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, err
	}
	c.UserAgent = "fovea"
	c.QPS, c.Burst = requestRate, requestBurst
	c.WarningHandlerWithContext = rest.NoWarnings{}
	c.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	c.ContentType = "application/vnd.kubernetes.protobuf"
	return c, nil
}

// Client returns a client for the objects of a version of a group, of which the scheme
// must know the types. Path is where groups are: /api or /apis.
func Client(c *rest.Config, over *http.Client, scheme *runtime.Scheme, path string, gv schema.GroupVersion) (*rest.RESTClient, error) {
	metav1.AddToGroupVersion(scheme, gv)
	config := rest.CopyConfig(c)
	config.APIPath, config.GroupVersion = path, &gv
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientForConfigAndClient(config, over)
	if err != nil {
		return nil, fmt.Errorf("make a client of %s: %w", gv, err)
	}
	return client, nil
}
