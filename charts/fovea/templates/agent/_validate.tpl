{{/* fovea.validateAgent is what is wrong with the agent's values, as a list in JSON. The agent
would not start with these, or get more of the node than was meant. */}}
{{- define "fovea.validateAgent" -}}
{{- $wrong := list -}}
{{- $unit := dict "KiB" 1024 "MiB" 1048576 "GiB" 1073741824 "KB" 1000 "MB" 1000000 "GB" 1000000000 -}}
{{- $history := mul (regexFind "^[0-9]+" .history) (get $unit (regexFind "[A-Za-z]+$" .history)) -}}
{{- if lt $history (int64 1048576) -}}
{{- $wrong = append $wrong (printf "agent.history: %q, want at least 1MiB" .history) -}}
{{- end -}}
{{- $start := toDate "2006" "2000" -}}
{{- $interval := (($start | mustDateModify .aggregationInterval).Sub $start).Nanoseconds -}}
{{- if or (lt $interval (int64 100000000)) (gt $interval (int64 3600000000000)) -}}
{{- $wrong = append $wrong (printf "agent.aggregationInterval: %q, want 100ms to 1h" .aggregationInterval) -}}
{{- end -}}
{{- $profile := .seccompProfile.localhostProfile | default "" -}}
{{- if and (eq .seccompProfile.type "Localhost") (not $profile) -}}
{{- $wrong = append $wrong "agent.seccompProfile.localhostProfile: \"\", want the profile's file where agent.seccompProfile.type is Localhost" -}}
{{- else if and (ne .seccompProfile.type "Localhost") $profile -}}
{{- $wrong = append $wrong (printf "agent.seccompProfile.localhostProfile: %q, want none where agent.seccompProfile.type is %s" $profile .seccompProfile.type) -}}
{{- end -}}
{{- with .criSocket -}}
{{- if ne (clean .) . -}}
{{- $wrong = append $wrong (printf "agent.criSocket: %q, want a path without . and .." .) -}}
{{- else if has (dir .) (list "/" "/run" "/var/run") -}}
{{- $wrong = append $wrong (printf "agent.criSocket: %q, want a socket in a directory of its own: the agent gets all that is beside it" .) -}}
{{- end -}}
{{- end -}}
{{ toJson $wrong }}
{{- end }}
