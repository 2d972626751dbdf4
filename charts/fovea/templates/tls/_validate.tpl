{{/* fovea.validateSecrets is what is wrong with the Secrets that are in the namespace, as a
list in JSON: those of another method than tls.method are in its way. Without a cluster to
ask nothing is. */}}
{{- define "fovea.validateSecrets" -}}
{{- $wrong := list -}}
{{- $tls := .Values.tls -}}
{{- $names := dict -}}
{{- if eq $tls.method "provided" -}}
{{- range $name, $secret := $tls.provided -}}
{{- if $secret -}}{{- $_ := set $names $secret (printf "tls.provided.%s" $name) -}}{{- end -}}
{{- end -}}
{{- else -}}
{{- $_ := set $names "fovea-ca" "tls.method" -}}
{{- range include "fovea.certificates" . | fromJsonArray -}}
{{- $_ := set $names .secret "tls.method" -}}
{{- end -}}
{{- end -}}
{{- range $secret, $value := $tls.enabled | ternary $names dict -}}
{{- $there := lookup "v1" "Secret" $.Release.Namespace $secret -}}
{{- if $there -}}
{{- $said := dig "metadata" "annotations" dict $there -}}
{{- $ours := eq $.Release.Name (get $said "meta.helm.sh/release-name") -}}
{{- if and (eq $tls.method "helm") (not $ours) -}}
{{- $wrong = append $wrong (printf "%s: \"helm\", want the Secret %s away, which this release has not made: delete first a Certificate of cert-manager that makes it, and then it" $value $secret) -}}
{{- else if and (ne $tls.method "helm") $ours (hasKey $said "fovea-obs.github.io/expires") -}}
{{- $wrong = append $wrong (printf "%s: %q, want the Secret %s away, which this release has made with the method helm and would delete: uninstall it, and install it anew" $value ($tls.method | eq "provided" | ternary $secret $tls.method) $secret) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toJson $wrong }}
{{- end }}
