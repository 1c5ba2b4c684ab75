package react

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// HTTP asks a server that speaks the chat completions of the OpenAI interface.
type HTTP struct {
	URL         string // up to and with /v1
	Model       string
	Key         string // bearer token, may be empty
	Temperature float64
	MaxTokens   int // of a reply; the paper's is 2048, ETO's 512
	Client      *http.Client
}

// maxReplyBytes bounds what is read of an answer.
const maxReplyBytes = 32 << 20

type chatRequest struct {
	Model       string    `json:"model"`
	Messages    []Message `json:"messages"`
	Temperature float64   `json:"temperature"`
	MaxTokens   int       `json:"max_tokens,omitempty"`
	N           int       `json:"n,omitempty"`
	Seed        uint64    `json:"seed"`
	Stop        []string  `json:"stop,omitempty"`
	LogProbs    bool      `json:"logprobs,omitempty"`
}

type chatResponse struct {
	Choices []struct {
		Message  Message `json:"message"`
		LogProbs *struct {
			Content []struct {
				LogProb float64 `json:"logprob"`
			} `json:"content"`
		} `json:"logprobs"`
	} `json:"choices"`
	Error json.RawMessage `json:"error"`
}

// Act implements Actor. A busy or broken server (429, 5xx, no connection) is
// tried again, four times in all.
func (h *HTTP) Act(ctx context.Context, turn Turn) ([]Reply, error) {
	body, err := json.Marshal(chatRequest{
		Model: h.Model, Messages: turn.Messages, Temperature: h.Temperature, MaxTokens: h.MaxTokens,
		N: turn.N, Seed: turn.Seed >> 12, Stop: turn.Stop, LogProbs: true, // JSON numbers are exact up to 2^53
	})
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		replies, again, err := h.post(ctx, body, turn.N)
		if err == nil || !again || try == 3 {
			return replies, err
		}
		select {
		case <-time.After(time.Second << try):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *HTTP) post(ctx context.Context, body []byte, n int) (replies []Reply, again bool, err error) {
	url := strings.TrimSuffix(h.URL, "/") + "/chat/completions"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	if h.Key != "" {
		req.Header.Set("Authorization", "Bearer "+h.Key)
	}
	client := h.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, ctx.Err() == nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBytes))
	if err != nil {
		return nil, ctx.Err() == nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500,
			fmt.Errorf("%s: %s: %.200s", url, resp.Status, raw)
	}
	var answer chatResponse
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, false, fmt.Errorf("%s: not a chat completion: %w", url, err)
	}
	if len(answer.Choices) != n {
		return nil, false, fmt.Errorf("%s: %d choices, want %d", url, len(answer.Choices), n)
	}
	for _, c := range answer.Choices {
		r := Reply{Text: c.Message.Content}
		if c.LogProbs != nil {
			for _, t := range c.LogProbs.Content {
				r.LogProbs = append(r.LogProbs, t.LogProb)
			}
		}
		replies = append(replies, r)
	}
	return replies, false, nil
}
