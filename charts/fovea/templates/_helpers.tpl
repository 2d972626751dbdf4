{{/* fovea.labels are those of an object, by the chart's root and the name of what it is part of. */}}
{{- define "fovea.labels" -}}
k8s-app: {{ .name }}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: fovea
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* fovea.podLabels are those of a pod, which stay the same over versions of the chart. */}}
{{- define "fovea.podLabels" -}}
k8s-app: {{ .name }}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: fovea
{{- end }}

{{/* fovea.image is an image's reference, by values and the tag where these have none. */}}
{{- define "fovea.image" -}}
{{ .image.repository }}:{{ .image.tag | default .tag }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* fovea.secret is the name of a Secret with a certificate, by which one it is: agent,
relayServer, relayClient or uiClient. */}}
{{- define "fovea.secret" -}}
{{- if eq .root.Values.tls.method "provided" -}}
{{ get .root.Values.tls.provided (printf "%sSecret" .of) }}
{{- else -}}
{{ get (dict "agent" "hubble-server-certs" "relayServer" "hubble-relay-server-certs" "relayClient" "hubble-relay-client-certs" "uiClient" "hubble-ui-client-certs") .of }}
{{- end -}}
{{- end }}

{{/* fovea.certificates are those that the chart makes, in JSON: the Secret, the names that
it is valid for, and for whom it is, a server or a client. The relay's client has one without
a relay too, as it is also what people show to agents. */}}
{{- define "fovea.certificates" -}}
{{- $relay := printf "hubble-relay.%s" .Release.Namespace -}}
{{- $all := list
  (dict "secret" "hubble-server-certs" "usage" "server auth"
    "names" (list (printf "*.%s.hubble-grpc.cilium.io" (replace "." "-" .Values.clusterName))))
  (dict "secret" "hubble-relay-client-certs" "usage" "client auth"
    "names" (list "*.hubble-relay.cilium.io" "instance.hubble-relay.cilium.io")) -}}
{{- if .Values.relay.enabled -}}
{{- $all = concat $all (list
  (dict "secret" "hubble-relay-server-certs" "usage" "server auth"
    "names" (list "*.hubble-relay.cilium.io" "instance.hubble-relay.cilium.io" "hubble-relay" $relay
      (printf "%s.svc" $relay) (printf "%s.svc.cluster.local" $relay) "localhost"))) -}}
{{- end -}}
{{- if .Values.ui.enabled -}}
{{- $all = append $all (dict "secret" "hubble-ui-client-certs" "usage" "client auth"
    "names" (list "*.hubble-ui.cilium.io")) -}}
{{- end -}}
{{ toJson $all }}
{{- end }}

{{/* fovea.ownUsers is "yes" where pods run as the users that the chart says, and not as
those that OpenShift gives them, which it does not do in the namespaces of its own. */}}
{{- define "fovea.ownUsers" -}}
{{- $openshifts := list "default" "kube-system" "kube-public" "openshift" "openshift-infra" "openshift-node" -}}
{{- if or (not .Values.openshift.enabled) (has .Release.Namespace $openshifts) -}}
yes
{{- end -}}
{{- end }}

{{/* fovea.restricted is the securityContext of a container that needs no rights at all. */}}
{{- define "fovea.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}
