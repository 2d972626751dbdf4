package kube

import (
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fovea-obs/fovea/agent/endpoint"
)

// dueWithin is how long before its pods a CronJob's job may have been due.
const dueWithin = 31 * 24 * time.Hour

// workload is what runs a pod, as far as the pod itself tells: nothing for one
// that is on its own, or that a node runs from a file.
func workload(o *corev1.Pod) endpoint.Workload {
	owner := metav1.GetControllerOfNoCopy(o)
	// The API takes any text for these.
	if owner == nil || owner.Kind == "Node" || !isName(owner.Kind) || !isName(owner.Name) {
		return endpoint.Workload{}
	}
	w := endpoint.Workload{Kind: owner.Kind, Name: owner.Name}
	switch owner.Kind {
	case "ReplicaSet":
		hash := o.Labels["pod-template-hash"]
		if deployment, ok := strings.CutSuffix(owner.Name, "-"+hash); ok && hash != "" && deployment != "" {
			w = endpoint.Workload{Kind: "Deployment", Name: deployment}
		}
	case "Job":
		if cronJob, ok := cronJobOf(owner.Name, o.CreationTimestamp.Time); ok {
			w = endpoint.Workload{Kind: "CronJob", Name: cronJob}
		}
	case "ReplicationController":
		if config := o.Labels["deploymentconfig"]; config != "" {
			w = endpoint.Workload{Kind: "DeploymentConfig", Name: config}
		}
	}
	return w
}

// cronJobOf returns the CronJob that made a job: the job's name ends with the
// minutes since 1970 at which it was due, not long before its pod was created. So
// a job that somebody called by a number, as a date, remains one.
func cronJobOf(job string, created time.Time) (cronJob string, ok bool) {
	i := strings.LastIndexByte(job, '-')
	if i <= 0 {
		return "", false
	}
	minutes, err := strconv.ParseUint(job[i+1:], 10, 32)
	if err != nil {
		return "", false
	}
	late := created.Sub(time.Unix(int64(minutes)*60, 0))
	return job[:i], late > -time.Hour && late < dueWithin
}
