{{/* fovea.validate fails, and names all, if values do not go together. What each is for
itself, values.schema.json says. */}}
{{- define "fovea.validate" -}}
{{- $wrong := list -}}
{{- $tls := .Values.tls -}}
{{- if and .Values.ui.enabled (not .Values.relay.enabled) -}}
{{- $wrong = append $wrong "ui.enabled: true, want false where relay.enabled is false: it asks the relay" -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled (not .Values.relay.enabled) -}}
{{- $wrong = append $wrong "monitoring.podMonitor.enabled: true, want false where relay.enabled is false: its metrics are the relay's" -}}
{{- end -}}
{{- if and (not $tls.enabled) (ne $tls.method "helm") -}}
{{- $wrong = append $wrong (printf "tls.method: %q, want none where tls.enabled is false: there are no certificates" $tls.method) -}}
{{- end -}}
{{- $needed := list -}}
{{- if and $tls.enabled (eq $tls.method "provided") -}}
{{- $needed = list "agentSecret" -}}
{{- if .Values.relay.enabled -}}{{- $needed = concat $needed (list "relayServerSecret" "relayClientSecret") -}}{{- end -}}
{{- if .Values.ui.enabled -}}{{- $needed = append $needed "uiClientSecret" -}}{{- end -}}
{{- end -}}
{{- range $name, $secret := $tls.provided -}}
{{- if and (not $secret) (has $name $needed) -}}
{{- $wrong = append $wrong (printf "tls.provided.%s: \"\", want the name of a Secret where tls.method is provided" $name) -}}
{{- else if and $secret (ne $tls.method "provided") -}}
{{- $wrong = append $wrong (printf "tls.provided.%s: %q, want none where tls.method is %s" $name $secret $tls.method) -}}
{{- end -}}
{{- end -}}
{{- if and $tls.certManager.issuerRef.name (ne $tls.method "certManager") -}}
{{- $wrong = append $wrong (printf "tls.certManager.issuerRef.name: %q, want none where tls.method is %s" $tls.certManager.issuerRef.name $tls.method) -}}
{{- end -}}
{{- if and (not $tls.certManager.issuerRef.name) (or (ne $tls.certManager.issuerRef.kind "Issuer") (ne $tls.certManager.issuerRef.group "cert-manager.io")) -}}
{{- $wrong = append $wrong (printf "tls.certManager.issuerRef.name: \"\", want the issuer's where a kind (%s) and a group (%s) are given" $tls.certManager.issuerRef.kind $tls.certManager.issuerRef.group) -}}
{{- end -}}
{{- if and (eq $tls.method "helm") (lt (int $tls.helm.caDays) (int $tls.helm.certificateDays)) -}}
{{- $wrong = append $wrong (printf "tls.helm.certificateDays: %d, want at most the %d of tls.helm.caDays" (int $tls.helm.certificateDays) (int $tls.helm.caDays)) -}}
{{- end -}}
{{- if and .Values.relay.service.nodePort (eq .Values.relay.service.type "ClusterIP") -}}
{{- $wrong = append $wrong (printf "relay.service.nodePort: %d, want 0 where relay.service.type is ClusterIP" (int .Values.relay.service.nodePort)) -}}
{{- end -}}
{{- if and (ne .Values.relay.service.type "ClusterIP") (not $tls.enabled) -}}
{{- $wrong = append $wrong (printf "relay.service.type: %s, want ClusterIP where tls.enabled is false: whoever has the address would see all flows" .Values.relay.service.type) -}}
{{- end -}}
{{- if and .Values.networkPolicies.uiFrom (not .Values.networkPolicies.enabled) -}}
{{- $wrong = append $wrong "networkPolicies.uiFrom: some, want none where networkPolicies.enabled is false: all may reach Hubble UI" -}}
{{- end -}}
{{- if hasKey .Values.ui.podAnnotations "fovea-obs.github.io/nginx" -}}
{{- $wrong = append $wrong "ui.podAnnotations: \"fovea-obs.github.io/nginx\", want none that the chart sets itself" -}}
{{- end -}}
{{- $labels := include "fovea.labels" (dict "root" . "name" "hubble-relay") | fromYaml -}}
{{- range $name, $_ := .Values.monitoring.podMonitor.labels -}}
{{- if hasKey $labels $name -}}
{{- $wrong = append $wrong (printf "monitoring.podMonitor.labels: %q, want none that the chart sets itself" $name) -}}
{{- end -}}
{{- end -}}
{{- $wrong = concat $wrong (include "fovea.validateAgent" .Values.agent | fromJsonArray) (include "fovea.validateSecrets" . | fromJsonArray) -}}
{{- $takes := dict "agent" (list "attach" "connections" "drop-reasons" "ring-size") "relay" (list "retry-timeout" "sort-buffer-drain-timeout" "sort-buffer-len-max") -}}
{{- range $of, $args := dict "agent" .Values.agent.extraArgs "relay" .Values.relay.extraArgs -}}
{{- range $args -}}
{{- if not (regexMatch (printf "^--(%s)=." (join "|" (get $takes $of))) .) -}}
{{- $wrong = append $wrong (printf "%s.extraArgs: %q, want --%s=" $of . (join "=, --" (get $takes $of))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n  %s" (join "\n  " $wrong)) -}}
{{- end -}}
{{- end }}
