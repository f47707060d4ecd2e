{{- define "kubetriage.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "kubetriage.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The labels that select a component's pods: (list $ "gateway") */}}
{{- define "kubetriage.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "kubetriage.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of an object: (list $ "gateway") */}}
{{- define "kubetriage.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{ include "kubetriage.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: kubetriage
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods: without versions, so that a new chart alone restarts nothing, least of all Redis. */}}
{{- define "kubetriage.podLabels" -}}
{{- $root := index . 0 -}}
{{ include "kubetriage.selector" . }}
app.kubernetes.io/part-of: kubetriage
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image reference: (list $ .Values.gateway.image) */}}
{{- define "kubetriage.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $name := $image.repository -}}
{{- with default $root.Values.image.registry $image.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default (default $root.Chart.AppVersion $root.Values.image.tag) $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "kubetriage.serviceAccountName" -}}
{{- $account := .Values.agent.serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-agent" (include "kubetriage.fullname" .)) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{- define "kubetriage.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "kubetriage.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What every pod has: (list $ .Values.gateway "gateway"). The Service variables are off: Kubernetes would set
KUBETRIAGE_GATEWAY_PORT=tcp://... for our own Service, which is a setting of ours. */}}
{{- define "kubetriage.podSpec" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
enableServiceLinks: false
securityContext:
  {{- include "kubetriage.podSecurity" $root | nindent 2 }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Replicas of gateway and agent stay apart where there are several nodes or zones. */}}
{{- define "kubetriage.spread" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $component := index . 2 -}}
topologySpreadConstraints:
{{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "kubetriage.selector" (list $root $component) | nindent 8 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Probes of our services: (dict "port" "http" "ready" "/readyz") */}}
{{- define "kubetriage.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ .port }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: {path: {{ .ready }}, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{- define "kubetriage.scrapeAnnotations" -}}
{{- if .root.Values.monitoring.scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/path: /metrics
prometheus.io/port: {{ .port | quote }}
{{- end }}
{{- end -}}

{{- define "kubetriage.keysSecret" -}}
{{- default (printf "%s-keys" (include "kubetriage.fullname" .)) .Values.keys.existingSecret -}}
{{- end -}}

{{- define "kubetriage.firstUserSecret" -}}
{{- default (printf "%s-first-user" (include "kubetriage.fullname" .)) .Values.firstUser.existingSecret -}}
{{- end -}}

{{- define "kubetriage.redisSecret" -}}
{{- if and (not .Values.redis.enabled) .Values.redis.external.existingSecret -}}
{{- .Values.redis.external.existingSecret -}}
{{- else -}}
{{- printf "%s-redis" (include "kubetriage.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "kubetriage.redisUrlKey" -}}
{{- if and (not .Values.redis.enabled) .Values.redis.external.existingSecret -}}
{{- .Values.redis.external.urlKey -}}
{{- else -}}
url
{{- end -}}
{{- end -}}

{{- define "kubetriage.chromaUrl" -}}
{{- if .Values.chroma.enabled -}}
{{- printf "http://%s-chroma:8000" (include "kubetriage.fullname" .) -}}
{{- else -}}
{{- .Values.chroma.external.url -}}
{{- end -}}
{{- end -}}

{{/* Entry of a Secret that exists, decoded, else the default: (list $ "name" "entry" default) */}}
{{- define "kubetriage.kept" -}}
{{- $root := index . 0 -}}
{{- $found := lookup "v1" "Secret" $root.Release.Namespace (index . 1) -}}
{{- $entry := "" -}}
{{- if $found -}}{{- $entry = index (default dict $found.data) (index . 2) | default "" -}}{{- end -}}
{{- if $entry -}}{{- $entry | b64dec -}}{{- else -}}{{- index . 3 -}}{{- end -}}
{{- end -}}

{{/* Whatever is generated, made once in a rendering and kept over upgrades, so that the Secrets and the checksums of
the pods agree. Sets .Values.generated. */}}
{{- define "kubetriage.generate" -}}
{{- if not (hasKey .Values "generated") -}}
{{- $name := include "kubetriage.fullname" . -}}
{{- $keys := printf "%s-keys" $name -}}
{{- $_ := set .Values "generated" (dict
  "internalKey" (include "kubetriage.kept" (list . $keys .Values.keys.internalKey (randAlphaNum 64)))
  "signingKeys" (include "kubetriage.kept" (list . $keys .Values.keys.signingKeys (genPrivateKey "ecdsa")))
  "redisPassword" (include "kubetriage.kept" (list . (printf "%s-redis" $name) "password" (randAlphaNum 40)))
  "firstPassword" (include "kubetriage.kept" (list . (printf "%s-first-user" $name) .Values.firstUser.passwordKey (randAlphaNum 24)))
) -}}
{{- end -}}
{{- end -}}

{{- define "kubetriage.keysChecksum" -}}
{{- include "kubetriage.generate" . -}}
{{- if .Values.keys.existingSecret -}}
{{- $found := lookup "v1" "Secret" .Release.Namespace .Values.keys.existingSecret -}}
{{- $data := dict -}}
{{- if $found -}}{{- $data = default dict $found.data -}}{{- end -}}
{{- $data | toJson | sha256sum -}}
{{- else -}}
{{- printf "%s%s" .Values.generated.internalKey .Values.generated.signingKeys | sha256sum -}}
{{- end -}}
{{- end -}}

{{- define "kubetriage.redisChecksum" -}}
{{- include "kubetriage.generate" . -}}
{{- if .Values.redis.enabled -}}
{{- printf "%s%s" .Values.generated.redisPassword .Values.redis.maxMemory | sha256sum -}}
{{- else -}}
{{- .Values.redis.external | toJson | sha256sum -}}
{{- end -}}
{{- end -}}

{{/* Host names of the gateway, separated by commas. */}}
{{- define "kubetriage.allowedHosts" -}}
{{- $service := printf "%s-gateway" (include "kubetriage.fullname" .) -}}
{{- $namespace := .Release.Namespace -}}
{{- $hosts := list "localhost" "127.0.0.1" $service (printf "%s.%s" $service $namespace) (printf "%s.%s.svc" $service $namespace) (printf "%s.%s.svc.%s" $service $namespace .Values.clusterDomain) -}}
{{- if .Values.gateway.ingress.enabled -}}
{{- $hosts = concat $hosts .Values.gateway.ingress.hosts -}}
{{- end -}}
{{- if has "*" .Values.gateway.allowedHosts -}}
*
{{- else -}}
{{- concat $hosts .Values.gateway.allowedHosts | uniq | join "," -}}
{{- end -}}
{{- end -}}

{{- define "kubetriage.issuer" -}}
{{- if .Values.gateway.issuer -}}
{{- .Values.gateway.issuer -}}
{{- else if and .Values.gateway.ingress.enabled .Values.gateway.ingress.hosts -}}
{{- printf "https://%s" (first .Values.gateway.ingress.hosts) -}}
{{- end -}}
{{- end -}}

{{/* Where traces go, as OpenTelemetry's own variables say it. */}}
{{- define "kubetriage.tracingEnv" -}}
{{- $v := .Values.tracing -}}
{{- if $v.endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ $v.endpoint | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ $v.sampleRatio | quote }}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
{{- $attributes := list (printf "k8s.namespace.name=%s" .Release.Namespace) "k8s.pod.name=$(POD_NAME)" }}
{{- range $name, $value := $v.attributes }}{{ $attributes = append $attributes (printf "%s=%s" $name $value) }}{{ end }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: {{ join "," $attributes | quote }}}
{{- with $v.existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $v.headersKey }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* True when agent and ingest are scraped. */}}
{{- define "kubetriage.scraped" -}}
{{- if or .Values.monitoring.serviceMonitor.enabled .Values.monitoring.scrapeAnnotations -}}true{{- end -}}
{{- end -}}

{{/* The names of the ingests: one for each source. */}}
{{- define "kubetriage.ingests" -}}
{{- $ingests := list -}}
{{- if .Values.ingest.enabled -}}
{{- if .Values.ingest.bundled -}}{{- $ingests = append $ingests "bundled" -}}{{- end -}}
{{- if or .Values.ingest.runbooks.configMap .Values.ingest.runbooks.existingClaim -}}{{- $ingests = append $ingests .Values.ingest.runbooks.source -}}{{- end -}}
{{- end -}}
{{- $ingests | toJson -}}
{{- end -}}

{{/* Those of them that stay, and so have metrics. */}}
{{- define "kubetriage.watchingIngests" -}}
{{- if eq .Values.ingest.mode "watch" }}{{ include "kubetriage.ingests" . }}{{ else }}[]{{ end -}}
{{- end -}}
