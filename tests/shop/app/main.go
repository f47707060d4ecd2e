// One program for every workload of the sample shop: a small HTTP service that calls the services
// it depends on, and logs what goes wrong the way Go programs do. Its environment says who it is.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// The cache stays referenced so that the garbage collector cannot return it.
var cache [][]byte

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC | log.Lmsgprefix)
	name := setting("SERVICE_NAME", "service")
	log.SetPrefix(name + " ")
	if os.Getenv("MODE") == "traffic" {
		sendTraffic(setting("TARGET_URL", "http://frontend:8080/"))
	}
	dependencies := findDependencies()
	log.Printf("INFO starting version=%s dependencies=%s", setting("SERVICE_VERSION", "dev"), strings.Join(dependencies, ","))
	if size, _ := strconv.Atoi(setting("CACHE_MIB", "0")); size > 0 {
		go fillCache(size)
	}
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "ok") })
	http.HandleFunc("/readyz", func(answer http.ResponseWriter, request *http.Request) {
		if setting("READY_NEEDS_DEPENDENCIES", "false") == "true" {
			for _, dependency := range dependencies {
				if err := call(request.Context(), strings.TrimRight(dependency, "/")+"/healthz"); err != nil {
					log.Printf("WARN not ready: %v", err)
					http.Error(answer, "dependency unavailable: "+err.Error(), http.StatusServiceUnavailable)
					return
				}
			}
		}
		fmt.Fprintln(answer, "ready")
	})
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		begin := time.Now()
		for _, dependency := range dependencies {
			if err := call(request.Context(), dependency); err != nil {
				log.Printf("ERROR %s %s status=502 duration=%s: %v", request.Method, request.URL.Path, time.Since(begin).Round(time.Millisecond), err)
				http.Error(answer, err.Error(), http.StatusBadGateway)
				return
			}
		}
		fmt.Fprintln(answer, name, "ok")
	})
	address := ":" + setting("PORT", "8080")
	log.Printf("INFO listening on %s", address)
	log.Fatalf("FATAL %v", http.ListenAndServe(address, nil))
}

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// findDependencies returns the value of every variable that ends in _URL.
func findDependencies() []string {
	var found []string
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasSuffix(name, "_URL") {
			found = append(found, value)
		}
	}
	return found
}

func call(parent context.Context, url string) error {
	ctx, cancel := context.WithTimeout(parent, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 300))
	if answer.StatusCode >= 400 {
		return fmt.Errorf("GET %s: status %d: %s", url, answer.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}

// fillCache takes size MiB, eight every second, as a cache that warms up under traffic does.
func fillCache(size int) {
	for taken := 0; taken < size; taken += 8 {
		time.Sleep(time.Second)
		block := make([]byte, 8<<20)
		for at := 0; at < len(block); at += 4096 {
			block[at] = 1
		}
		cache = append(cache, block)
		log.Printf("INFO risk model: %d of %d MiB loaded", min(taken+8, size), size)
	}
	log.Printf("INFO risk model loaded")
}

func sendTraffic(target string) {
	failed, sent := 0, 0
	for {
		time.Sleep(2 * time.Second)
		sent++
		if err := call(context.Background(), target); err != nil {
			failed++
			log.Printf("WARN %d of %d requests failed: %v", failed, sent, err)
		}
	}
}
